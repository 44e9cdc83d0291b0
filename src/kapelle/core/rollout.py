"""The machine that publishes a release and keeps every process on the current one.

It is told facts and wishes, compares what the processes report with what should be, and answers with effects. It
follows no script: each fact may be late, lost, doubled or old, the machine itself may be dropped and made anew, and
the same comparison goes on from what is there.

**The pointer's log decides everything.** A controller gives orders only in an epoch whose entry it wrote itself;
before it publishes, or has to mend something, it *claims*: it writes an entry that names the same release again. Every
process obeys the newest epoch it has heard of (``rollout_fence``), and nobody is counted on who was not heard in the
present one. So of two controllers one is obeyed, and only that one can commit.
"""

from __future__ import annotations

from dataclasses import replace

from kapelle.core.rollout_fleet import Asked, Fleet, Member
from kapelle.core.rollout_messages import (
    AskGolden,
    Denied,
    Effect,
    Ended,
    MovePointer,
    Outcome,
    Pointer,
    Process,
    Progress,
    Report,
    Shape,
    Side,
    Stamp,
    StopWatching,
    Terms,
    Watch,
)
from kapelle.core.rollout_publish import Publish, Stage
from kapelle.core.rollout_targets import Targets
from kapelle.core.rollout_view import View, Want, stamped
from kapelle.core.rollout_wants import Wants, what_to_watch


class Rollout:
    """``author`` is unique to this object.

    All times are seconds of one clock that outlives controllers. After each call, ``wake`` is when to ``tick`` next.
    """

    def __init__(self, author: str, terms: Terms | None = None) -> None:
        self.author = author
        self.terms = terms or Terms()
        self.pointer: Pointer | None = None
        self.job: Publish | None = None
        self.wake: float | None = None
        self.fleet = Fleet()
        self.targets = Targets(self.fleet, self.terms)
        self._now = 0.0
        self._number = 0
        self._release_since = 0.0
        """When the pointer was first seen to name the release it names."""
        self._back: str | None = None
        """Why traffic has to go back to the previous release."""
        self._watched: Watch | None = None
        self._overtaken = False
        self._claim_at: float | None = None
        self._once: dict[str, tuple[Effect, float]] = {}
        """The last effect of a kind that is repeated only after a while."""
        self._told = ""
        self._effects: list[Effect] = []

    # ── facts ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def read(self, pointer: Pointer, now: float) -> list[Effect]:
        """The newest entry of the log, read after a ``MovePointer`` and again at least every ``linger`` / 2."""
        known = self.pointer
        if known is not None and pointer.epoch <= known.epoch:
            return self._step(now)
        if known is None or known.release != pointer.release:
            self._release_since = now
        self._overtaken = known is not None and known.author == self.author != pointer.author
        self._claim_at = None
        self.pointer = pointer
        reason = self._back or ""
        if known is None or known.release != pointer.release:
            self._back = None
        if self.job is not None:
            self.job.moved(pointer, reason, now)
            if self.job.stage is Stage.TRIAL and self.is_on_trial(now):
                self._back = self._back or self.job.withdrawn
        return self._step(now)

    def shape(self, shape: Shape, now: float) -> list[Effect]:
        """The services and shards of a release. Needed of the current, the previous and the published one."""
        self.targets.shapes[shape.release] = shape
        return self._step(now)

    def started(self, process: Process, now: float) -> list[Effect]:
        """A process is known to run. Nothing is committed or dropped until it has said what it holds."""
        before = self.fleet.replaced_by(process)
        if before is not None and self.job is not None:
            self.job.lost(before)
        return self._step(now) if self.fleet.started(process, now) else []

    def report(self, report: Report, now: float) -> list[Effect]:
        """All that a process says of itself."""
        return self._step(now) if self.fleet.heard(report, now) else []

    def gone(self, name: str, incarnation: int, now: float) -> list[Effect]:
        """The process is known to have ended."""
        member = self.fleet.find(name, incarnation)
        self.fleet.bury(name, incarnation)
        if member is None:
            return []
        if self.job is not None:
            self.job.lost(member, begins_with_it=self._begins_with(self.job.release, member))
        member.end(now)
        return self._step(now)

    def leaving(self, name: str, incarnation: int, now: float) -> list[Effect]:
        """The process is to end soon, and waits until others have what it holds."""
        member = self.fleet.find(name, incarnation)
        if member is None:
            return []
        member.leaving = True
        return self._step(now)

    def may_go(self, name: str, incarnation: int) -> bool:
        """Whether others have what a process holds that leaves, or nobody is there who could."""
        member = self.fleet.find(name, incarnation)
        return member is None or self.pointer is None or self._view(self._now).is_spare(member)

    def did_not_start(self, name: str, incarnation: int, reason: str, now: float) -> list[Effect]:
        """The process is about to end: what it was to begin with could not be loaded."""
        member, job = self.fleet.find(name, incarnation), self.job
        if member is None or job is None or not job.is_prepared_for or not self._begins_with(job.release, member):
            return []
        job.refuse(f"{name} could not load it: {reason}")
        return self._step(now)

    def _begins_with(self, release: str, member: Member) -> bool:
        """Whether it was started for ``release``, as that has code of its own, and does not have it yet."""
        current = self.pointer.release if self.pointer is not None else None
        is_for_it = self.targets.fits(release, member) and not (current and self.targets.fits(current, member))
        return is_for_it and not member.holds(release)

    def golden(self, epoch: int, release: str, failure: str | None, now: float) -> list[Effect]:
        """The answer to ``AskGolden``: None, or which query failed and how."""
        job = self.job
        if job is not None and (job.epoch, job.release) == (epoch, release):
            job.golden(failure, now)
        return self._step(now)

    def breach(self, reason: str, now: float) -> list[Effect]:
        """The release on trial does worse than the one before."""
        if self.job is not None and self.job.is_tried:
            self.job.refuse(reason)
        elif self.is_on_trial(now):
            self._back = self._back or reason
        return self._step(now)

    def tick(self, now: float) -> list[Effect]:
        """Time has passed."""
        return self._step(now)

    # ── wishes ────────────────────────────────────────────────────────────────────────────────────────────────────

    def publish(self, release: str, now: float, side: Side | None = None) -> list[Effect]:
        """Make ``release``, whose files are verified, the current one; for ``bake`` only at the ``side`` of it, if given."""
        if self.job is None and self.pointer is not None and self.pointer.release == release and self.is_on_trial(now):
            self.job = Publish(release, self.pointer, self.author, self.terms, now, side)
            self.job.stage = Stage.TRIAL  # a controller that is gone began it
        if self.job is not None and (self.job.release, self.job.side) == (release, side):
            return self._step(now)  # it is the same publish
        wish = f"publish {release}"
        denied = self._denial(wish, now)
        if denied or self.pointer is None:
            return denied
        if self.pointer.release == release:
            return [Ended(release, Outcome.UNCHANGED, f"it is the current release since entry {self.pointer.epoch}")]
        if self.pointer.release is None:
            side = None  # there is nothing to be at the side of
        if side is not None and self._code(release) != self._code(self.pointer.release):
            return [Denied(wish, "it has other code, and a gateway runs one; publish it to all requests")]
        self.job = Publish(release, self.pointer, self.author, self.terms, now, side)
        return self._step(now)

    def rollback(self, now: float) -> list[Effect]:
        """Go back to the previous release: at once while its instances are there, else it is published again."""
        if self.job is not None and self.job.is_tried:
            self.job.refuse("asked to go back")
            return self._step(now)
        if self.is_on_trial(now):
            self._back = self._back or "asked to go back"
            return self._step(now)
        if (denied := self._denial("rollback", now)) or self.pointer is None:
            return denied
        if self.pointer.previous is None:
            current = self.pointer.release or "the first"
            return [Denied("rollback", f"no release before {current} is known; publish one by its name")]
        return self.publish(self.pointer.previous, now)

    def cancel(self, now: float, reason: str = "cancelled") -> list[Effect]:
        """Give up the publish that runs, as long as it is not committed."""
        if self.job is None:
            return [Denied("cancel", "nothing is being published")]
        if self.job.stage is Stage.TRIAL:
            return [Denied("cancel", f"{self.job.release} is committed; roll back instead")]
        self.job.refuse(reason)
        return self._step(now)

    def is_on_trial(self, now: float) -> bool:
        """Whether the previous release is kept, to go back to it."""
        pointer = self.pointer
        if pointer is None or pointer.previous is None or pointer.baking_since is None:
            return False
        # One that begins long after now was begun before the clock was set back.
        return self._back is not None or abs(now - pointer.baking_since) < self.terms.bake

    @property
    def codes(self) -> set[str] | None:
        """The code of which processes are needed now; those of other code can end. None while that is not known."""
        return self._view(self._now).codes() if self.pointer is not None else None

    @property
    def wanted(self) -> list[str]:
        """The releases that processes are to hold, the most urgent first."""
        return self._view(self._now).wanted if self.pointer is not None else []

    def _code(self, release: str | None) -> str:
        return self.targets.shapes[release].code if release in self.targets.shapes else ""

    # ── what follows ──────────────────────────────────────────────────────────────────────────────────────────────

    def _step(self, now: float) -> list[Effect]:
        self._now = now
        self.wake = None
        self._effects = []
        if self.pointer is None:
            return []
        view = self._view(now)
        for member in self.fleet.alive():
            if member.troubled_since is not None and view.well(member):
                member.troubled_since = None
        if self.job is not None:
            self._go_on(self.job, view)
            view = self._view(now)
        self._steer(view)
        self._wake_for_timeouts(now)
        return self._effects

    def _view(self, now: float) -> View:
        assert self.pointer is not None
        may_drop = now >= self._release_since + self.terms.linger
        wants = self._wants(now)
        self.targets.divide(wants.by_age)
        wanted = [one for one in wants.releases if self.targets.knows(one) or one not in wants.left]
        return View(self.fleet, self.targets, self.pointer, wanted, now, may_drop)

    def _wants(self, now: float) -> Wants:
        assert self.pointer is not None
        job, previous = self.job, self.pointer.previous if self.is_on_trial(now) else None
        candidate = job.release if job is not None and job.is_prepared_for and self.targets.knows(job.release) else None
        return Wants(self.pointer, candidate, previous, self.fleet.seen)

    def _go_on(self, job: Publish, view: View) -> None:
        assert self.pointer is not None
        job.look(view)
        if job.stage is Stage.CLAIM:
            self._claim(f"publishing {job.release}")
        elif job.stage is Stage.PREPARE:
            self._tell(f"{job.release}: waiting for {job.waits_for}")
        elif job.stage is Stage.GOLDEN:
            self._tell(f"{job.release}: prepared, asking the golden queries")
            self._repeat("golden", AskGolden(job.epoch, job.release))
        elif job.stage is Stage.TRIAL:
            self._tell(f"{job.release}: committed, watching")
            if not self.is_on_trial(self._now) and view.all_routed():
                job.succeed()
        else:
            self._give_requests(job, self.pointer)
        if job.ended is not None:
            self._effects.append(job.ended)
            self.job = None

    def _give_requests(self, job: Publish, pointer: Pointer) -> None:
        """Let requests come to it: some of them first, if that was asked for, then all."""
        if job.is_withdrawn:
            self._claim(f"not publishing {job.release}: {job.withdrawn}")
        elif job.stage is Stage.ASIDE and job.side is not None and not job.waiting:
            self._tell(f"{job.release}: prepared, trying it on {job.side.share:.1%} of the requests")
            self._move(pointer.release, pointer.previous, None, f"trial of {job.release}", job.side)
        elif job.stage is Stage.CANARY:
            self._tell(f"{job.release}: watching it for {self.terms.bake:g} s beside {pointer.release}")
        elif job.stage is Stage.COMMIT and not job.waiting:
            self._tell(f"{job.release}: prepared everywhere, moving the pointer")
            trial = self._now if pointer.release is not None else None
            self._move(job.release, pointer.release, trial, f"publish of {job.release}", None)

    def _steer(self, view: View) -> None:
        """Bring the fleet to what is wanted; in an epoch of another controller only take over, if it does not."""
        pointer = view.pointer
        on_trial = self.is_on_trial(view.now)
        orders = view.orders()
        self.targets.forget(view.wanted)
        if pointer.author != self.author:
            self._watch(None)
            self._take_over(needed=bool(orders) or on_trial or pointer.side is not None)
            return
        for order in orders:
            self._order(order)
        self._watch(what_to_watch(pointer, on_trial=on_trial))
        if pointer.side is not None and (self.job is None or self.job.release != pointer.side.release):
            self._claim(f"nobody publishes {pointer.side.release} any more")
        if self._back is not None and on_trial and pointer.previous is not None and view.whole(pointer.previous):
            self._move(pointer.previous, None, None, f"back from {pointer.release}: {self._back}", None)

    def _take_over(self, *, needed: bool) -> None:
        if not needed:
            self._claim_at = None
            return
        if self._claim_at is None:
            self._claim_at = self._now + (self.terms.step_back if self._overtaken else self.terms.claim_after)
        if self._wake_at(self._claim_at):
            self._claim("taking over")

    def _claim(self, reason: str) -> None:
        """An entry that changes nothing but whose orders count; what was at the side of the release is so no more."""
        assert self.pointer is not None
        self._move(self.pointer.release, self.pointer.previous, self.pointer.baking_since, reason, None)

    def _move(
        self, release: str | None, previous: str | None, baking_since: float | None, reason: str, side: Side | None
    ) -> None:
        assert self.pointer is not None
        entry = Pointer(self.pointer.epoch + 1, release, previous, baking_since, self.author, side)
        last = self._once.get("move")
        if last is not None and isinstance(last[0], MovePointer):
            asked = last[0].entry
            if replace(asked, baking_since=baking_since) == entry:
                entry = asked  # the trial begins when the move was first asked for
        self._repeat("move", MovePointer(entry, reason))

    def _watch(self, watch: Watch | None) -> None:
        if watch != self._watched:
            self._watched = watch
            self._effects.append(StopWatching() if watch is None else watch)

    def _tell(self, text: str) -> None:
        if text != self._told:
            self._told = text
            self._effects.append(Progress(text))

    def _repeat(self, kind: str, effect: Effect) -> None:
        last = self._once.get(kind)
        if last is not None and last[0] == effect and not self._wake_at(last[1] + self.terms.repeat):
            return
        self._once[kind] = (effect, self._now)
        self._wake_at(self._now + self.terms.repeat)
        self._effects.append(effect)

    def _order(self, want: Want) -> None:
        kind, member, release, shards = want
        assert self.pointer is not None
        last = member.asked.get((kind, release))
        known = last is not None and (last.shards, last.stamp.epoch) == (shards, self.pointer.epoch)
        if last is not None and known and not self._wake_at(last.at + self.terms.repeat):
            return
        self._number += 1
        stamp = Stamp(self.pointer.epoch, self._number)
        member.ask(kind, release, Asked(shards, stamp, self._now))
        self._wake_at(self._now + self.terms.repeat)
        self._effects.append(stamped(want, stamp, self.pointer.side))

    def _wake_at(self, when: float) -> bool:
        """Whether that time has come; if not, see that there is a tick when it does."""
        if when <= self._now:
            return True
        if self.wake is None or when < self.wake:
            self.wake = when
        return False

    def _denial(self, wish: str, now: float) -> list[Effect]:
        """Why nothing can be published now."""
        if self.pointer is None:
            return [Denied(wish, "the pointer has not been read yet; see that the store can be reached")]
        if self.is_on_trial(now):
            return [Denied(wish, f"{self.pointer.release} is on trial; wait until that is over, or roll back")]
        if self.job is not None:
            return [Denied(wish, f"{self.job.release} is being published ({self.job.stage.value}); wait, or cancel it")]
        return []

    def _wake_for_timeouts(self, now: float) -> None:
        terms = self.terms
        assert self.pointer is not None
        if self.job is not None and self.job.stage is not Stage.TRIAL:
            self._wake_at(self.job.deadline)
        if self.is_on_trial(now) and self.pointer.baking_since is not None:
            self._wake_at(self.pointer.baking_since + terms.bake)
        self._wake_at(self._release_since + terms.linger)
        for since in self.fleet.in_doubt():
            self._wake_at(since + terms.reassign_after)

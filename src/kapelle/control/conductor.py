"""Carries out what the rollout machine decides: orders to processes, entries of the pointer, answers to people."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TypeVar

import structlog

from kapelle.artifacts.beside import beside
from kapelle.artifacts.cache import Cache, code_identity
from kapelle.artifacts.history import Ending, History
from kapelle.artifacts.manifest import Manifest
from kapelle.artifacts.objects import Objects
from kapelle.artifacts.pointer import PointerLog
from kapelle.artifacts.releases import NoRelease, Releases
from kapelle.clock import steady, wall
from kapelle.config.orders import LOCAL, Holding
from kapelle.control import translate
from kapelle.control.conducted import Conducted
from kapelle.control.plan import node
from kapelle.control.process import Process
from kapelle.control.roster import Roster
from kapelle.control.shape import shape
from kapelle.control.trial import Trial
from kapelle.control.versions import Version, Versions
from kapelle.core import rollout_messages as core
from kapelle.core.rollout import Rollout
from kapelle.errors import KapelleError, StoreError
from kapelle.tasks import Tasks
from kapelle.wire import messages, wishes

log = structlog.get_logger()

Say = Callable[[str], None]
T = TypeVar("T")
Beginning = tuple[Version, core.Shape]
"""Some code, and the release that its processes begin with."""


class Conductor:
    """Keeps the processes of a system on the release that its store's pointer names."""

    def __init__(self, versions: Versions, objects: Objects, cache: Cache, terms: core.Terms) -> None:
        self.on_change: Callable[[], None] = lambda: None
        """Called when what is written down of processes has changed."""
        self.on_news: Callable[[], None] = lambda: None
        """Called when anything has changed."""
        self.on_codes: Callable[[set[str], dict[str, Beginning]], None] = lambda _needed, _begin: None
        """Told which code processes are needed of, and with what those begin that have to be started."""
        self._terms = terms
        self._versions = versions
        self._releases = Releases(objects)
        self._log = PointerLog(objects)
        self._history = History(objects)
        self._cache = cache
        self._manifests: dict[str, Manifest] = {}
        """Of every release that somebody may need."""
        self._rollout = Rollout(f"{node()}-{os.getpid()}-{secrets.token_hex(4)}", terms)
        self._roster = Roster()
        self._wishes: dict[asyncio.Future[wishes.Over], Say] = {}
        self._verifying = False
        self._trial: Trial | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._look = asyncio.Event()
        self._tasks = Tasks()
        # One thread: what is read of the pointer after a write is newer than that.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kapelle-store")
        self._unreachable = ""
        self._closed = False

    # --- the processes ------------------------------------------------------------------------------------------------

    def started(self, process: Conducted) -> None:
        """It was started, or taken over from a controller that is gone."""
        if not process.has_place:
            return
        self._do(self._rollout.started(self._roster.add(process), steady()))

    def gone(self, process: Conducted, last_words: str) -> None:
        """It has ended."""
        known = self._roster.remove(process)
        if known is not None:
            if last_words:
                self._do(self._rollout.did_not_start(known.name, known.incarnation, last_words, steady()))
            self._do(self._rollout.gone(known.name, known.incarnation, steady()))

    def told(self, process: Conducted, message: messages.FromProcess) -> None:
        """It has something to say about releases."""
        known = self._roster.get(process)
        if known is None:
            return
        match message:
            case messages.Report():
                self._roster.heard(process, message)
                self._settle(process)
                self._do(self._rollout.report(translate.report(known, message), steady()))
            case messages.GoldenAnswer(epoch, release, failure):
                self._do(self._rollout.golden(epoch, release, failure or None, steady()))
            case messages.Pulse(releases) if self._trial is not None:
                if breach := self._trial.heard(known.name, releases):
                    self._do(self._rollout.breach(breach, steady()))

    def _settle(self, process: Conducted) -> None:
        """See that what is written down of a process, and told of it, is what it holds of the current release."""
        report, release = self._roster.report(process), self._begins_with(process)
        if report is not None and release is not None and release in report.holds:
            holding = Holding(release, report.holds[release])
            if holding != process.holding:
                process.holding = holding
                self.on_change()

    def holding(self, process: Process) -> Holding:
        """What it begins with when it is started now: what it last held of the release that is current for its code."""
        planned = process.recipe.holding
        release = self._begins_with(process)
        if release is None:
            return planned
        service = self._versions.known(process.code).app.services.get(process.service)
        shards = [] if service is not None and service.sharded else [0]
        if release == planned.release:
            shards = planned.shards
        resting = process.role == "gateway" and process.code != self._code(self.current)
        return Holding(release, self._roster.last_held(process.slot, release, shards), resting)

    def _begins_with(self, process: Conducted) -> str | None:
        """The release that is current among those of its code; None when it is what it was planned to begin with."""
        pointer, job, code = self._rollout.pointer, self._rollout.job, process.code
        if pointer is None:
            return None
        if code == self._code(pointer.release):
            return pointer.release
        named = (job.release if job is not None else "", pointer.previous)
        return next((one for one in named if one in self._manifests and self._code(one) == code), None)

    def _code(self, release: str | None) -> str:
        return self._versions.code(self._manifests[release]) if release in self._manifests else ""

    def releases(self, process: Conducted) -> dict[str, str]:
        """Which releases it has, and in which state each is, for people."""
        return self._roster.releases(process)

    # --- the pointer --------------------------------------------------------------------------------------------------

    @property
    def current(self) -> str | None:
        """The release that the pointer names; None when it names none, or is not known yet."""
        return self._rollout.pointer.release if self._rollout.pointer is not None else None

    def open(self) -> None:
        """Begin to follow the pointer."""
        self._tasks.spawn(self._follow())

    def close(self) -> None:
        """Decide nothing more; what runs goes on."""
        self._closed = True
        self._tasks.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self._stop_watching()
        for waiting in self._wishes:
            waiting.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _follow(self) -> None:
        while True:
            self._look.clear()
            try:
                pointer = await self._blocking(self._log.read)
                await self._learn(pointer)
            except KapelleError as error:
                self._store_fails(error)
            else:
                self._unreachable = ""
                before = self.current
                self._do(self._rollout.read(pointer, steady()))
                if self.current != before:
                    for process in self._roster:
                        self._settle(process)
                    log.info("the current release", release=self.current, entry=pointer.epoch)
                    self._went_back(before)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._terms.linger / 2):
                    await self._look.wait()

    def _went_back(self, before: str | None) -> None:
        """Whoever asked a controller that had not published ``before`` itself to go back hears of it here."""
        if self._rollout.job is None:
            self._answer(wishes.Over(before or "", core.Outcome.ROLLED_BACK.value, f"back on {self.current}"))

    async def _learn(self, pointer: core.Pointer) -> None:
        """The shapes of the releases it names."""
        for name in (pointer.release, pointer.previous):
            if name is not None and not self._rollout.targets.knows(name):
                try:
                    release = await self._blocking(partial(self._releases.get, name))
                    await self._shape(name, release.manifest)
                except KapelleError:
                    if name == pointer.release:
                        raise
                    # It may have been removed since; nobody needs it until somebody goes back to it.

    async def _shape(self, name: str, manifest: Manifest) -> None:
        version = await asyncio.to_thread(self._versions.of, name, manifest)
        found = shape(name, manifest, version.app, version.code)
        self._manifests[name] = manifest
        self._do(self._rollout.shape(found, steady()))

    async def _move(self, entry: core.Pointer, reason: str) -> None:
        try:
            if (job := self._rollout.job) is not None and entry.release == job.release != self.current:
                await self._blocking(partial(self._releases.get, job.release))  # it may have been thrown away since
            if await self._blocking(partial(self._log.write, entry, reason, wall())):
                log.info("the pointer has moved", entry=entry.epoch, release=entry.release, reason=reason)
        except NoRelease as error:
            self._do(self._rollout.cancel(steady(), error.detail))
        except StoreError as error:
            self._store_fails(error)
        self._look.set()

    def _store_fails(self, error: KapelleError) -> None:
        if error.detail != self._unreachable:
            log.warning("the store cannot be used; what runs goes on", reason=error.detail)
            for say in self._wishes.values():
                say(f"the store cannot be used: {error.detail}")
        self._unreachable = error.detail

    # --- wishes -------------------------------------------------------------------------------------------------------

    async def grant(self, wish: wishes.Wish, say: Say) -> wishes.Over:
        """Do what somebody wants, telling how far it is; how it ended."""
        match wish:
            case wishes.Publish(release, share, mirrored):
                return await self.publish(release, say, core.Side(release, share, mirrored) if share else None)
            case wishes.Rollback():
                return await self.rollback(say)
            case wishes.CancelPublish():
                return await self._granted(self._rollout.cancel, say)

    async def publish(self, release: str, say: Say, side: core.Side | None = None) -> wishes.Over:
        """Make ``release`` the current one, after it was tried at the ``side`` of that; how it ended."""
        if self._verifying:
            return wishes.Over(release, wishes.DENIED, "another release is being verified; wait until that is over")
        if release != self.current:
            self._verifying = True
            try:
                await self._shape(release, await self._verified(release, say))
            except KapelleError as error:
                over = wishes.Over(release, core.Outcome.REFUSED.value, error.detail)
                # What is no release has no history: one that is built later may get its name.
                return over if isinstance(error, NoRelease) else await self._write_down(over)
            finally:
                self._verifying = False
        return await self._granted(lambda now: self._rollout.publish(release, now, side), say)

    async def rollback(self, say: Say) -> wishes.Over:
        """Go back to the release before the current one; how that ended."""
        pointer = self._rollout.pointer
        is_tried = self._rollout.job is not None or self._rollout.is_on_trial(steady())
        if pointer is not None and pointer.previous is not None and not is_tried:
            over = await self.publish(pointer.previous, say)
            gone = wishes.Over(over.release, core.Outcome.REFUSED.value, f"it was taken back: {over.reason}")
            return gone if over.outcome == core.Outcome.ROLLED_BACK else over
        return await self._granted(self._rollout.rollback, say)

    async def _granted(self, wish: Callable[[float], list[core.Effect]], say: Say) -> wishes.Over:
        waiting: asyncio.Future[wishes.Over] = asyncio.get_running_loop().create_future()
        effects = wish(steady())
        denied = next((one for one in effects if isinstance(one, core.Denied)), None)
        if denied is not None:
            self._do([one for one in effects if one is not denied])
            return wishes.Over("", wishes.DENIED, f"{denied.wish}: {denied.reason}")
        self._wishes[waiting] = say
        try:
            self._do(effects)
            return await waiting
        finally:
            del self._wishes[waiting]

    async def _verified(self, name: str, say: Say) -> Manifest:
        """The manifest of a release whose files are all in the store as they should be."""
        release = await self._blocking(partial(self._releases.get, name))
        files = sum(1 for _ in release.manifest.files())
        say(f"{name}: verifying {files} file{'s' * (files != 1)}, {release.manifest.size / 2**20:.1f} MiB")
        await asyncio.to_thread(self._releases.verify, release, lambda _: None)
        return release.manifest

    async def _write_down(self, over: wishes.Over) -> wishes.Over:
        log.info("a publish has ended", release=over.release, outcome=over.outcome, reason=over.reason)
        ending = Ending(release=over.release, outcome=over.outcome, reason=over.reason, at=wall())
        try:
            await self._blocking(partial(self._history.add, ending))
        except StoreError as error:
            self._store_fails(error)
        return over

    # --- effects ------------------------------------------------------------------------------------------------------

    def _do(self, effects: list[core.Effect]) -> None:
        if self._closed:
            return
        for effect in effects:
            self._carry_out(effect)
        self._look_at_codes()
        self.on_news()
        if self._timer is not None:
            self._timer.cancel()
        if self._rollout.wake is not None:
            seconds = max(0.0, self._rollout.wake - steady())
            self._timer = asyncio.get_running_loop().call_later(seconds, lambda: self._do(self._rollout.tick(steady())))

    def _look_at_codes(self) -> None:
        """See that processes run of all code that is needed, and none of other."""
        needed, there = self._rollout.codes, self._roster.codes
        if needed is None or needed == there:
            return
        shapes = self._rollout.targets.shapes
        begin = {shapes[one].code: shapes[one] for one in reversed(self._rollout.wanted) if one in shapes}
        self.on_codes(needed, {code: (self._versions.known(code), begin[code]) for code in needed & begin.keys()})

    def _carry_out(self, effect: core.Effect) -> None:
        match effect:
            case core.Prepare() | core.Retire() | core.Route() | core.Rest():
                self._order(effect)
            case core.AskGolden(epoch, release):
                self._ask_golden(messages.AskGolden(epoch, release))
            case core.MovePointer(entry, reason):
                self._tasks.spawn(self._move(entry, reason))
            case core.Watch(old, new):
                self._stop_watching()
                self._trial = Trial(old, new, self._take_pulse)
            case core.StopWatching():
                self._stop_watching()
            case core.Progress(text):
                log.debug("publishing", progress=text)
                for say in self._wishes.values():
                    say(text)
            case core.Ended(release, outcome, reason):
                self._end(wishes.Over(release, outcome.value, reason))
            case core.Denied(wish, reason):
                log.warning("a wish was denied", wish=wish, reason=reason)

    def _order(self, order: core.Order) -> None:
        """Send it to the incarnation that it is for; one that does not hear it is told again later."""
        process = self._roster.find(order.process)
        if process is not None:
            process.send(translate.message(order))

    def _end(self, over: wishes.Over) -> None:
        self._answer(over)
        if over.outcome != core.Outcome.UNCHANGED:
            self._tasks.spawn(self._note(over))

    def _answer(self, over: wishes.Over) -> None:
        for waiting in [one for one in self._wishes if not one.done()]:
            waiting.set_result(over)

    async def _note(self, over: wishes.Over) -> None:
        await self._write_down(over)
        names = self._in_use()
        if not names <= self._manifests.keys():
            return  # what is not known well must not be taken away
        codes = self._roster.codes | {self._code(name) for name in names}
        kept = [*(self._manifests[name].identity for name in names), *map(code_identity, codes)]
        try:
            await beside(partial(self._cache.prune, kept))
        except StoreError as error:
            log.warning("what nobody needs any more cannot be removed", reason=error.detail)

    def _in_use(self) -> set[str]:
        """The releases that a process has, or may have to begin with."""
        pointer = self._rollout.pointer
        names = {pointer.release, pointer.previous, *self._rollout.wanted} if pointer is not None else set()
        return {name for name in names | self._roster.held if name not in (None, LOCAL)}

    def _ask_golden(self, question: messages.AskGolden) -> None:
        """Ask a gateway; when it goes, the machine asks again."""
        for process in self._roster.gateways():
            report = self._roster.report(process)
            if report is not None and question.release in report.holds:
                process.send(question)
                return

    def _take_pulse(self) -> None:
        for process in self._roster.gateways():
            process.send(messages.TakePulse())

    def _stop_watching(self) -> None:
        if self._trial is not None:
            self._trial.close()
            self._trial = None

    async def _blocking(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

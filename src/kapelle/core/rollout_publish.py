"""The publish of one release, from the wish to its end."""

from __future__ import annotations

from enum import StrEnum

from kapelle.core.rollout_fleet import Member
from kapelle.core.rollout_messages import Ended, Outcome, Pointer, Side, Terms
from kapelle.core.rollout_view import View


class Stage(StrEnum):
    """What a publish is waiting for."""

    CLAIM = "claim"  # the entry that makes an epoch for it
    PREPARE = "prepare"  # everybody to hold the release
    GOLDEN = "golden"  # the answer of the golden queries
    ASIDE = "aside"  # the entry that gives it a part of the requests
    CANARY = "canary"  # a part of the requests on it
    COMMIT = "commit"  # the entry that makes the release the current one, or one that prevents it
    TRIAL = "trial"  # traffic on the new release
    OVER = "over"


_SHOWN = 3
_DECIDED = (Stage.ASIDE, Stage.CANARY, Stage.COMMIT)
"""An entry that gives it requests is there, or may be on its way."""


class Publish:
    """Decides how far the publish is. ``ended`` says how, once ``stage`` is OVER."""

    def __init__(
        self, release: str, pointer: Pointer, author: str, terms: Terms, now: float, side: Side | None = None
    ) -> None:
        self.release = release
        self.side = side
        """With which part of the requests to try it first."""
        self.stage = Stage.CLAIM
        self.epoch = pointer.epoch
        """The entry it builds upon: first the one it found, then the one it made."""
        self.ended: Ended | None = None
        self.withdrawn: str | None = None
        """Why the release shall not be committed though the order to do so is out: another entry is to win."""
        self.waiting: list[str] = []
        self.deadline = self._prepared_by = now + terms.prepare_timeout
        self._author = author
        self._terms = terms
        self._deaths: list[str] = []
        self._had_traffic = False

    @property
    def waits_for(self) -> str:
        """What it is waiting for, as a list that can be read at a glance."""
        shown = ", ".join(self.waiting[:_SHOWN])
        return shown if len(self.waiting) <= _SHOWN else f"{shown} and {len(self.waiting) - _SHOWN} more"

    @property
    def is_prepared_for(self) -> bool:
        """Whether the fleet should hold the release for it."""
        return self.stage in (Stage.PREPARE, Stage.GOLDEN, *_DECIDED)

    @property
    def is_withdrawn(self) -> bool:
        """Whether an entry is to be written that prevents what may be on its way, or ends what is being tried."""
        return self.withdrawn is not None and self.stage in _DECIDED

    @property
    def is_tried(self) -> bool:
        """Whether a part of the requests is on it, or may be."""
        return self.side is not None and self.stage in _DECIDED and self.withdrawn is None

    def moved(self, pointer: Pointer, reason: str, now: float) -> None:
        """There is a newer entry. ``reason`` is why this controller went back, if it did."""
        if pointer.epoch <= self.epoch:
            return
        if self.stage is Stage.TRIAL:
            if pointer.release != self.release:
                self._end(Outcome.ROLLED_BACK, reason or f"another controller moved the pointer to {pointer.release}")
        elif pointer.release == self.release:
            self.stage = Stage.TRIAL
        elif self.withdrawn is not None:
            self._end(Outcome.ROLLED_BACK if self._had_traffic else Outcome.REFUSED, self.withdrawn)
        elif self.stage is Stage.ASIDE and pointer.author == self._author and pointer.side == self.side:
            self.stage = Stage.CANARY
            self._had_traffic = True
            self.deadline = now + self._terms.bake
        elif pointer.author != self._author or self.stage is not Stage.CLAIM:
            self._end(Outcome.REFUSED, f"another controller took over with entry {pointer.epoch} of the pointer")
        else:
            self.stage = Stage.PREPARE
        self.epoch = pointer.epoch

    def look(self, view: View) -> None:
        """Go on as far as the fleet allows."""
        if self.stage in (Stage.TRIAL, Stage.OVER) or self.withdrawn is not None:
            return
        late = view.now >= self.deadline
        if self.stage is Stage.CLAIM:
            if late:
                self.refuse("the pointer could not be read and written in time; see that the store can be reached")
            return
        failure = view.failure(self.release, self.epoch) or self._too_many_deaths()
        if failure is not None:
            self.refuse(failure)
            return
        if not view.targets.knows(self.release):
            self.waiting = ["the shape of the release"]
        else:
            self.waiting = view.missing(self.release)
        self._advance(view.now, late=late)

    def _advance(self, now: float, *, late: bool) -> None:
        if self.waiting and self.stage is Stage.GOLDEN:
            self.stage = Stage.PREPARE
            self.deadline = self._prepared_by
        elif not self.waiting and self.stage is Stage.PREPARE:
            self.stage = Stage.GOLDEN
            self.deadline = now + self._terms.golden_timeout
        elif late and self.stage is Stage.CANARY:
            if not self.waiting:
                self.stage = Stage.COMMIT
                self.deadline = now + self._terms.prepare_timeout
        elif late:
            self.refuse(self._too_late())

    def golden(self, failure: str | None, now: float) -> None:
        """The golden queries were answered as they should (None), or not."""
        if self.stage is not Stage.GOLDEN:
            return
        if failure is not None:
            self.refuse(f"golden query: {failure}")
            return
        self.stage = Stage.COMMIT if self.side is None else Stage.ASIDE
        self.deadline = now + self._terms.prepare_timeout

    def lost(self, member: Member, *, begins_with_it: bool = False) -> None:
        """A process has ended. ``begins_with_it`` is whether it was to have the release from its start, and had not yet."""
        if self.is_prepared_for and (begins_with_it or member.was_building(self.release)):
            self._deaths.append(member.process.name)

    def refuse(self, reason: str) -> None:
        """It must not be committed. When the order to do so may be out, a rival entry of the same number decides."""
        if self.stage in _DECIDED:
            self.withdrawn = self.withdrawn or reason
        else:
            self._end(Outcome.REFUSED, reason)

    def succeed(self) -> None:
        """The trial is over."""
        self._end(Outcome.COMMITTED, f"entry {self.epoch} of the pointer")

    def _too_many_deaths(self) -> str | None:
        if len(self._deaths) < self._terms.deaths:
            return None
        return f"{len(self._deaths)} processes died while they built it: {', '.join(self._deaths)}"

    def _too_late(self) -> str:
        if self.stage is Stage.GOLDEN:
            return f"no answer of the golden queries within {self._terms.golden_timeout:g} s"
        if self.waiting:
            return f"after {self._terms.prepare_timeout:g} s it still waits for {', '.join(self.waiting)}"
        return "the pointer could not be moved in time; see that the store can be reached"

    def _end(self, outcome: Outcome, reason: str) -> None:
        self.stage = Stage.OVER
        self.ended = Ended(self.release, outcome, reason)

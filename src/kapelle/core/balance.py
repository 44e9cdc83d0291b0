"""Which replica gets a call: the less busy of two picked at random, among those that may be used.

A candidate is *ready* (in the draw), *unready* (it said so, or its connection broke), or *half-open*: it came back
after a failure, and gets one call at a time until one succeeds, unless there is nobody else.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum

_MULTIPLIER = 6364136223846793005
_INCREMENT = 1442695040888963407
_MASK = (1 << 64) - 1


class Standing(Enum):
    """How far a candidate is trusted."""

    READY = "ready"
    HALF_OPEN = "half-open"
    UNREADY = "unready"


class Candidate:
    """A replica as the balancer sees it. ``outstanding`` counts rows that were sent and not yet answered."""

    __slots__ = ("name", "outstanding", "standing")

    def __init__(self, name: str, standing: Standing = Standing.UNREADY) -> None:
        self.name = name
        self.outstanding = 0
        self.standing = standing

    def __repr__(self) -> str:
        return f"<{self.name} {self.standing.value}, {self.outstanding} outstanding>"


class Balancer:
    """The candidates for one service, or one shard of it."""

    __slots__ = ("_all", "_half_open", "_ready", "_state")

    def __init__(self, seed: int = 1) -> None:
        self._all: dict[str, Candidate] = {}
        self._ready: list[Candidate] = []
        self._half_open: list[Candidate] = []
        self._state = seed & _MASK

    @property
    def candidates(self) -> Collection[Candidate]:
        return self._all.values()

    @property
    def usable(self) -> int:
        """How many candidates may be given calls."""
        return len(self._ready) + len(self._half_open)

    def add(self, candidate: Candidate) -> None:
        """A replica appeared."""
        self._all[candidate.name] = candidate
        self.refresh()

    def remove(self, name: str) -> None:
        """A replica is gone for good."""
        if self._all.pop(name, None) is not None:
            self.refresh()

    def refresh(self) -> None:
        """The standing of a candidate changed."""
        self._ready = [one for one in self._all.values() if one.standing is Standing.READY]
        self._half_open = [one for one in self._all.values() if one.standing is Standing.HALF_OPEN]

    def pick(self, exclude: tuple[str, ...] = ()) -> Candidate | None:
        """The candidate for the next call; one of ``exclude`` only when there is no other. None when none is usable."""
        if self._half_open:
            for one in self._half_open:
                if one.outstanding == 0 and one.name not in exclude:
                    return one
        ready = self._ready
        if exclude:
            ready = [one for one in ready if one.name not in exclude] or ready
        count = len(ready)
        if count > 1:
            self._state = state = (self._state * _MULTIPLIER + _INCREMENT) & _MASK
            first = (state >> 33) % count
            second = (first + 1 + (state >> 17) % (count - 1)) % count
            one, other = ready[first], ready[second]
            return one if one.outstanding <= other.outstanding else other
        if count:
            return ready[0]
        # Nobody who is fully trusted: rather a half-open one than none, a fresh one first, then the least busy.
        return min(self._half_open, key=lambda one: (one.name in exclude, one.outstanding), default=None)

    def __repr__(self) -> str:
        return f"<Balancer {len(self._ready)} ready, {len(self._half_open)} half-open, {len(self._all)} in all>"

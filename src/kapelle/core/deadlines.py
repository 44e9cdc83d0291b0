"""Deadlines of many things at little cost: a timer each would be the dearest part of a short request.

Entries are kept in slots of ``grain`` seconds and leave their slot when they are over, so that nothing lives on until a
deadline it no longer has.
"""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Deadlines(Generic[T]):
    """Things with a deadline. An entry expires up to one grain late, never early."""

    def __init__(self, *, grain: float) -> None:
        self._grain = grain
        self._slots: dict[int, set[T]] = {}

    def add(self, deadline: float, entry: T) -> None:
        """Watch ``entry`` until ``deadline``."""
        slot = int(deadline / self._grain) + 1
        entries = self._slots.get(slot)
        if entries is None:
            self._slots[slot] = {entry}
        else:
            entries.add(entry)

    def discard(self, deadline: float, entry: T) -> None:
        """``entry``, added with this very ``deadline``, is over; nothing happens when it has expired already."""
        entries = self._slots.get(int(deadline / self._grain) + 1)
        if entries is not None:
            entries.discard(entry)

    def expired(self, now: float) -> list[T]:
        """The entries whose deadline has passed; they are forgotten here."""
        current = int(now / self._grain)
        due = sorted(slot for slot in self._slots if slot <= current)
        return [entry for slot in due for entry in self._slots.pop(slot)]

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))

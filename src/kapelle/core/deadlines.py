"""Deadlines of many things at little cost: a timer each would be the dearest part of a short request.

Entries are kept in slots of ``grain`` seconds; what ended in time is simply skipped when its slot comes up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Deadlines(Generic[T]):
    """Things with a deadline. An entry expires up to one grain late, never early."""

    def __init__(self, *, grain: float, over: Callable[[T], bool]) -> None:
        self._grain = grain
        self._over = over
        self._slots: dict[int, list[T]] = {}

    def add(self, deadline: float, entry: T) -> None:
        """Watch ``entry`` until ``deadline``."""
        slot = int(deadline / self._grain) + 1
        entries = self._slots.get(slot)
        if entries is None:
            self._slots[slot] = [entry]
        else:
            entries.append(entry)
            # Long deadlines at a high rate: keep only those that still run, whenever the list has doubled.
            if len(entries) & (len(entries) - 1) == 0 and len(entries) >= 1024:
                self._slots[slot] = [one for one in entries if not self._over(one)]

    def expired(self, now: float) -> list[T]:
        """The entries whose deadline has passed and that are not over; they are forgotten here."""
        current = int(now / self._grain)
        due = [slot for slot in self._slots if slot <= current]
        found: list[T] = []
        for slot in sorted(due):
            found += [entry for entry in self._slots.pop(slot) if not self._over(entry)]
        return found

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))

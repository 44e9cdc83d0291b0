"""Virtual time, a network that mistreats messages, and the log of the pointer."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random

from kapelle.core.rollout_messages import Pointer

LATEST = 1.2
"""Seconds a message is on its way at most."""


class Violation(Exception):
    """Something happened that must never happen."""


class World:
    """Events in the order of their time; everything random comes from ``random``, so that a seed is a history."""

    def __init__(self, seed: int, say: Callable[[str], None] | None = None) -> None:
        # A seed must give the same history everywhere; nothing here is secret.
        self.random = Random(seed)  # noqa: S311 - see above
        self.now = 0.0
        self._calmness = self.random.choice([1, 3, 6])  # the higher, the fewer messages take long
        self.stormy = True
        """Whether the network loses, doubles and delays messages; else they take a fixed, short time."""
        self.log: list[Pointer] = []
        self._say = say
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, when: float, event: Callable[[], None]) -> None:
        """Let ``event`` happen at that time, after what is already due then."""
        self._count += 1
        heapq.heappush(self._events, (when, self._count, event))

    def after(self, delay: float, event: Callable[[], None]) -> None:
        """Let ``event`` happen in ``delay`` seconds."""
        self.at(self.now + delay, event)

    def send(self, arrive: Callable[[], None], lost: Callable[[], None] | None = None) -> None:
        """Carry a message. ``lost`` happens instead when it is lost: a connection that broke is dialled again."""
        if not self.stormy:
            self.after(0.02, arrive)
            return
        chance = self.random.random()
        if chance < 0.06:
            self.note("a message is lost")
            if lost is not None:
                self.after(0.6, lost)
            return
        if chance < 0.12:
            self.after(self.random.random() * LATEST, arrive)
        self.after(self.random.random() ** self._calmness * LATEST, arrive)

    def run(self, until: float) -> None:
        """Let everything happen that is due until then."""
        events = self._events
        while events and events[0][0] <= until:
            self.now, _, event = heapq.heappop(events)
            event()
        self.now = until

    def write(self, entry: Pointer) -> bool:
        """Add an entry to the log unless its number is taken: the compare-and-swap."""
        if entry.epoch != self.head.epoch + 1:
            return False
        self.log.append(entry)
        return True

    @property
    def head(self) -> Pointer:
        """The newest entry."""
        return self.log[-1] if self.log else Pointer(0, None)

    def note(self, *parts: object) -> None:
        """Write a line of the history, if somebody reads it."""
        if self._say is not None:
            self._say(f"{self.now:7.2f}  " + " ".join(map(str, parts)))

    @property
    def is_traced(self) -> bool:
        """Whether somebody reads the history; wording it takes longer than living it."""
        return self._say is not None

    def violated(self, what: str) -> Violation:
        """The error to raise."""
        self.note("VIOLATION:", what)
        return Violation(f"{what} (at {self.now:.2f} s)")

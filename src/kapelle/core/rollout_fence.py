"""Which orders a process obeys, however late, doubled or reordered they arrive, and whoever else gives orders."""

from __future__ import annotations

from kapelle.core.rollout_messages import Stamp


class Fence:
    """Every replica and gateway has one and asks it before it obeys.

    ``epoch`` is the newest epoch it has heard of, ``heard`` the number of the newest order of that epoch about each
    release. Both go into every report, and the report must show what the process does about these orders. When the
    epoch rises, the process forgets the failures it has noted: they belong to orders of the past.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self.heard: dict[str, int] = {}

    def admits(self, stamp: Stamp, release: str) -> bool:
        """Whether an order about ``release`` is obeyed: none of its epoch or a later one has come before it.

        An order that comes twice is obeyed twice; orders say what should be, so that this changes nothing.
        """
        if stamp.epoch < self.epoch:
            return False
        if stamp.epoch > self.epoch:
            self.epoch = stamp.epoch
            self.heard.clear()
        if stamp.number < self.heard.get(release, 0):
            return False
        self.heard[release] = stamp.number
        return True

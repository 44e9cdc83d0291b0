"""Whether a request is let in: bounded by count and bytes, and fair between endpoints.

Half of each bound is shared by all; the other half is divided into one reserved part per endpoint, so that an endpoint
that is flooded can take the shared half and its own part, and never what keeps the others answering.
"""

from __future__ import annotations


class Lane:
    """The places one endpoint holds."""

    __slots__ = ("bytes", "count", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.count = 0
        self.bytes = 0

    def __repr__(self) -> str:
        return f"<Lane {self.name}: {self.count} requests, {self.bytes} bytes>"


class Admission:
    """The bounds of one gateway. A place is taken before any work is done, and given back exactly once."""

    def __init__(self, lanes: list[Lane], *, max_count: int, max_bytes: int) -> None:
        shares = max(1, len(lanes))
        # With few places each endpoint still has one of its own, as long as there are as many.
        self._reserved_count = max(max_count // 2 // shares, min(1, max_count // shares))
        self._reserved_bytes = max_bytes // 2 // shares
        self._shared_count = max_count - self._reserved_count * shares
        self._shared_bytes = max_bytes - self._reserved_bytes * shares
        self._lanes = lanes
        self._over_count = 0
        self._over_bytes = 0

    @property
    def in_flight(self) -> int:
        return sum(lane.count for lane in self._lanes)

    def enter(self, lane: Lane, size: int) -> bool:
        """Take a place for a request of ``size`` bytes; False when there is none for this endpoint."""
        count = lane.count + 1
        total = lane.bytes + size
        if count > self._reserved_count or total > self._reserved_bytes:
            over_count = self._over_count + (count > self._reserved_count)
            added = max(0, total - max(lane.bytes, self._reserved_bytes))
            if over_count > self._shared_count or self._over_bytes + added > self._shared_bytes:
                return False
            self._over_count = over_count
            self._over_bytes += added
        lane.count = count
        lane.bytes = total
        return True

    def leave(self, lane: Lane, size: int) -> None:
        """Give the place of a request of ``size`` bytes back."""
        if lane.count > self._reserved_count:
            self._over_count -= 1
        if lane.bytes > self._reserved_bytes:
            self._over_bytes -= lane.bytes - max(lane.bytes - size, self._reserved_bytes)
        lane.count -= 1
        lane.bytes -= size

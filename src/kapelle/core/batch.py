"""Which rows run together, and when.

Rows queue while the service works and are taken together when it is free; that alone makes batches grow with the load.
On top of it a batch that is not full may wait a little for company, the longer the fuller the last batches were: an
idle service never waits, a busy one waits at most ``max_wait``, and nobody waits past the time the deadline leaves for
the work.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

_SMOOTHING = 0.2


@dataclass(slots=True, eq=False)
class Entry:
    """One call: ``rows`` rows of ``size`` bytes in all; ``queued`` until it is refused, taken to be run, or dropped."""

    key: Any
    rows: int
    size: int
    deadline: float
    queued: bool = True


@dataclass(frozen=True, slots=True)
class Ready:
    """Run these together, now. ``expired`` are those whose deadline passed while they waited."""

    entries: list[Entry]
    expired: list[Entry]


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Nothing to run before ``time``, unless more arrives. ``expired`` as for ``Ready``."""

    time: float | None
    expired: list[Entry]


class Batcher:
    """The queue of one method of one instance."""

    def __init__(self, *, max_size: int, max_wait: float, max_bytes: int, max_queue: int) -> None:
        self._max_size = max_size
        self._max_wait = max_wait
        self._max_bytes = max_bytes
        self._max_queue = max_queue
        self._queue: deque[Entry] = deque()
        self._rows = 0
        self._bytes = 0
        self._next_deadline = float("inf")
        self._dropped = 0
        self._oldest_wait_from: float | None = None
        self._fill = 0.0
        self._duration = 0.0
        self._last_end = float("-inf")

    @property
    def queued_rows(self) -> int:
        """Rows that wait, dropped ones not counted."""
        return self._rows

    def offer(self, entry: Entry, now: float) -> bool:
        """Queue a call; False when the queue is full (an empty queue takes any call)."""
        if self._rows and self._rows + entry.rows > self._max_queue:
            entry.queued = False
            return False
        if not self._rows:
            self._oldest_wait_from = now
        self._rows += entry.rows
        self._bytes += entry.size
        self._next_deadline = min(self._next_deadline, entry.deadline)
        self._queue.append(entry)
        return True

    def drop(self, entry: Entry) -> None:
        """Nobody waits for ``entry`` any more: it will not be run, unless it runs already."""
        if entry.queued:
            self._remove(entry)
            self._dropped += 1
            if self._dropped > len(self._queue) // 2:
                # Callers may come and go without end while the service is busy; what they leave must not pile up.
                self._queue = deque(entry for entry in self._queue if entry.queued)
                self._dropped = 0

    def poll(self, now: float) -> Ready | WaitUntil:
        """The service is free: what to run, or until when to wait for more."""
        expired = self._expire(now)
        if not self._queue:
            return WaitUntil(None, expired)
        if self._rows < self._max_size and self._bytes < self._max_bytes:
            until = self._wait_until(now)
            if now < until:
                return WaitUntil(until, expired)
        return Ready(self._take(now), expired)

    def flush(self) -> list[Entry]:
        """All that waits, and an empty queue."""
        waiting = [entry for entry in self._queue if entry.queued]
        for entry in waiting:
            self._remove(entry)
        self._queue.clear()
        self._dropped = 0
        return waiting

    def finished(self, rows: int, began: float, now: float) -> None:
        """A batch of ``rows`` rows that began at ``began`` has ended."""
        self._fill += _SMOOTHING * (min(1.0, rows / self._max_size) - self._fill)
        self._duration += _SMOOTHING * ((now - began) - self._duration)
        self._last_end = now

    def _wait_until(self, now: float) -> float:
        if self._max_size == 1 or now - self._last_end > self._max_wait:
            return now
        begun = now if self._oldest_wait_from is None else self._oldest_wait_from
        patience = begun + self._max_wait * (self._fill if self._fill > 1.0 / self._max_size else 0.0)
        tightest = min(entry.deadline for entry in self._queue if entry.queued)
        return min(patience, tightest - 2 * self._duration)

    def _take(self, now: float) -> list[Entry]:
        batch: list[Entry] = []
        rows = size = 0
        queue = self._queue
        while queue:
            entry = queue[0]
            if not entry.queued:
                queue.popleft()
                self._dropped -= 1
                continue
            if batch and (rows + entry.rows > self._max_size or size + entry.size > self._max_bytes):
                break
            queue.popleft()
            entry.queued = False
            batch.append(entry)
            rows += entry.rows
            size += entry.size
        self._rows -= rows
        self._bytes -= size
        self._oldest_wait_from = now if self._rows else None
        return batch

    def _expire(self, now: float) -> list[Entry]:
        if now < self._next_deadline:
            return []
        waiting = [entry for entry in self._queue if entry.queued]
        expired = [entry for entry in waiting if entry.deadline <= now]
        for entry in expired:
            self.drop(entry)
        self._next_deadline = min((entry.deadline for entry in waiting if entry.queued), default=float("inf"))
        return expired

    def _remove(self, entry: Entry) -> None:
        entry.queued = False
        self._rows -= entry.rows
        self._bytes -= entry.size

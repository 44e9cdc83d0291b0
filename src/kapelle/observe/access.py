"""The access log: a line per request as long as somebody could read them, a count beyond that."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

log = structlog.get_logger("access")

LINES_PER_SECOND = 20
"""Lines written in one second; a gateway answers a thousand times that, and the log must not be what costs most."""
MOST_CALLS = 16
"""Calls of one request that its line shows."""

Way = Sequence[tuple[str, str, float]]
"""Calls that were made for a request: the method, the replica, and the seconds it took."""


class AccessLog:
    """Writes ``LINES_PER_SECOND`` lines at most, then says how many it left out. Server errors always get a line."""

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled
        self._written = 0
        self._left_out = 0
        self._second = 0.0

    def write(self, method: str, path: str, status: int, seconds: float, request_id: str, way: Way = ()) -> None:
        """A request was answered, by these calls in the order in which they ended."""
        if not self._enabled:
            return
        if self._written >= LINES_PER_SECOND and status < 500:
            self._left_out += 1
            return
        self._written += 1
        calls = {"calls": " > ".join(_shown(*one) for one in way[:MOST_CALLS])} if way else {}
        log.info(
            "request", method=method, path=path, status=status, ms=round(seconds * 1e3, 2), request=request_id, **calls
        )

    def flush(self, now: float) -> None:
        """Called often: begins a new second when one is over."""
        if now - self._second >= 1.0:
            self._second = now
            self._written = 0
            if self._left_out:
                log.info("more requests", count=self._left_out)
                self._left_out = 0


def _shown(method: str, replica: str, seconds: float) -> str:
    return f"{method} at {replica} {seconds * 1e3:.2f} ms"

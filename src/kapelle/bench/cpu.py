"""CPU time of processes by their numbers."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable


def cpu_seconds(pids: Iterable[int]) -> dict[int, float] | None:
    """What each has used so far, all its threads included; None where the system does not say (it needs Linux).

    Raises:
        ProcessLookupError: one of them is gone.
    """
    if sys.platform != "linux":
        return None
    return {pid: _cpu_seconds(pid) for pid in pids}


def spent(before: dict[int, float] | None, after: dict[int, float] | None) -> float | None:
    """CPU time between two looks at the same processes."""
    if before is None or after is None:
        return None
    return sum(after.values()) - sum(before.values())


def _cpu_seconds(pid: int) -> float:
    try:
        # The number of another process's CPU clock, as clock_getcpuclockid makes it; it counts nanoseconds.
        return time.clock_gettime((~pid << 3) | 2)
    except OSError as error:
        raise ProcessLookupError(f"process {pid} is gone") from error

"""A timer finer than an event loop's own: the kernel's timerfd, read by the loop like a socket.

libuv's timers, and so uvloop's, count whole milliseconds; a constant arrival rate of 2,000 a second needs half of one.
"""

from __future__ import annotations

import ctypes
import os

CLOCK_MONOTONIC = 1  # also the clock of time.monotonic() on Linux
TFD_NONBLOCK = os.O_NONBLOCK
TFD_CLOEXEC = os.O_CLOEXEC
TFD_TIMER_ABSTIME = 1


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


def _time_spec(seconds: float) -> _TimeSpec:
    return _TimeSpec(*divmod(round(seconds * 1e9), 1_000_000_000))


class Ticker:
    """Ticks at `start + k * interval` on the clock of `time.monotonic()`, for k = 0, 1, 2, ...

    Args:
        start: the first tick, seconds.
        interval: the time between ticks, seconds.
    """

    def __init__(self, start: float, interval: float) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor: int = libc.timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        spec = _TimerSpec(_time_spec(interval), _time_spec(start))
        if libc.timerfd_settime(self._descriptor, TFD_TIMER_ABSTIME, ctypes.byref(spec), None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def fileno(self) -> int:
        return self._descriptor

    def elapsed(self) -> int:
        """Ticks since the last call; zero if none is due."""
        try:
            return int.from_bytes(os.read(self._descriptor, 8), "little")
        except BlockingIOError:
            return 0

    def close(self) -> None:
        os.close(self._descriptor)

"""A process as its machine sees it: what it costs, in CPU time and resident memory, and the signals it is sent."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path

from kapelle.observe.metrics import Registry

_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_bytes(pid: int) -> int | None:
    """Resident memory of a process in bytes; None when it is gone, or where the system has no /proc."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return None


def cpu_seconds() -> float:
    """CPU time of this process so far, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _own_resident_bytes() -> float:
    size = resident_bytes(os.getpid())
    if size is not None:
        return float(size)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else peak * 1024)


def process_registry(**labels: str) -> Registry:
    """The metrics of this process, with its CPU and memory; ``labels`` are part of each."""
    registry = Registry(**labels)
    registry.total("kapelle_process_cpu_seconds_total", "CPU time of the process, user and system.", cpu_seconds)
    registry.gauge("kapelle_process_resident_memory_bytes", "Resident memory of the process.", _own_resident_bytes)
    return registry


_YOUNG = 50_000
"""Objects made and not yet freed before the collector looks for cycles."""


def settle() -> None:
    """Tell the garbage collector that start-up is over.

    What start-up made stays, so it is not looked at again. And a server makes thousands of objects per turn of its loop
    that live for a few microseconds: at Python's default of 700, looking through them took a quarter of a gateway's CPU
    time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 100)


_HEARD = (signal.SIGTERM, signal.SIGINT)
_forking = threading.local()


def on_signals(told: Callable[[], object]) -> None:
    """Have ``told`` called when this process is sent SIGTERM or SIGINT.

    What user code forks, as ``multiprocessing`` does, hears signals for itself: with the handlers it has inherited, it would
    wake the event loop of this process, and live on. A pool that is closed ends its children by SIGTERM.
    """
    for number in _HEARD:
        asyncio.get_running_loop().add_signal_handler(number, told)
    _tell_forks_apart()


@cache
def _tell_forks_apart() -> None:
    # Once: a second of each would keep as the mask to go back to what the first has blocked.
    os.register_at_fork(before=_hold_back, after_in_parent=_let_through, after_in_child=_hear_for_oneself)


def _hold_back() -> None:
    _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)


def _let_through() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


def _hear_for_oneself() -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _let_through()

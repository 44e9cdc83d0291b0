"""When a process ends, child or not, and whether it is the one that was meant."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

_POLL = 0.2


def birth(pid: int) -> str:
    """When a process was born, in the system's own terms; "" when there is none.

    A number may be given again; the number and the birth together are unique until the machine restarts.
    """
    try:
        # The name in parentheses may hold anything; the 20th field after it is the start time in ticks since boot.
        text = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1")
        state, *rest = text.rpartition(")")[2].split()
        return "" if state in "ZX" else rest[18]
    except (OSError, IndexError):
        return "" if Path("/proc/self").exists() or not _exists(pid) else "unknown"


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


async def wait_for_exit(pid: int) -> None:
    """Return when the process has ended; it need not be a child."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except (AttributeError, OSError):
        # Only Linux can wait for a process that is not a child.
        while birth(pid):
            await asyncio.sleep(_POLL)  # noqa: ASYNC110 - there is no event to wait for on such a system
        return
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    loop.add_reader(handle, lambda: ended.done() or ended.set_result(None))
    try:
        await ended
    finally:
        loop.remove_reader(handle)
        os.close(handle)


def kill(pid: int, born: str) -> None:
    """End a process at once, if it is still the one that was meant."""
    if born and birth(pid) == born:
        os.kill(pid, signal.SIGKILL)


def describe_exit(code: int | None) -> str:
    """An exit code in words."""
    if code is None:
        return "ended"
    if code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"
    return f"exited with status {code}"

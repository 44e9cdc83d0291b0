"""When a process ends, child or not, and whether it is the one that was meant."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

_POLL = 0.2


def birth(pid: int) -> str:
    """When a process was born, in the system's own terms; "" when there is none, or it is dead and not buried yet.

    A number may be given again; the number and the birth together are unique until the machine restarts.
    """
    state, born = _stat(pid)
    return "" if state in ("Z", "X") else born


def _stat(pid: int) -> tuple[str, str]:
    """The state of a process, and when it was born."""
    try:
        # The name in parentheses may hold anything; the 20th field after it is the start time in ticks since boot.
        text = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1")
        state, *rest = text.rpartition(")")[2].split()
        return state, rest[18]
    except (OSError, IndexError):
        return "", "" if Path("/proc/self").exists() or not _exists(pid) else "unknown"


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


async def wait_for_exit(pid: int, born: str, child: subprocess.Popen[bytes] | None) -> int | None:
    """Wait until a process has ended, and return its exit code; None when it is no child of ours, so nobody tells us."""
    try:
        await _wait(pid, born, child)
    finally:
        # Reaps it; None when we gave up waiting and it lives.
        code = child.poll() if child is not None else None
    return code


async def _wait(pid: int, born: str, child: subprocess.Popen[bytes] | None) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except (AttributeError, OSError):
        # Only Linux can wait for a process that is not a child.
        while child.poll() is None if child is not None else birth(pid) == born:  # noqa: ASYNC110 - there is no event to wait for on such a system
            await asyncio.sleep(_POLL)
        return
    try:
        # Only what holds the number now can be waited for; it may be another already. One that is dead may still have
        # threads that are about to die, and hold what it held.
        if _stat(pid)[1] == born or not born:
            await _readable(handle)
            # What it has started, and left behind, would keep its memory and its sockets.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGTERM)
    finally:
        os.close(handle)


async def _readable(handle: int) -> None:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(handle, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(handle)


def kill(pid: int, born: str) -> None:
    """End a process at once, if it is still the one that was meant."""
    if born and birth(pid) == born:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def describe_exit(code: int | None) -> str:
    """An exit code in words; None when it is not known, because the process was no child."""
    if code is None:
        return "ended"
    if code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"
    return f"exited with status {code}"

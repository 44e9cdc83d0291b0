"""The root of a server's process tree: adopts whatever the server leaves behind, and outlives none of it.

Started by `servers.py` with the server's commands as JSON on standard input: a list of `[argv, environment]`. It ends
with the first command that ends, on SIGTERM, and when the benchmark dies (even by SIGKILL); and it ends only after
every process below it is gone. Its working folder is the server's; the benchmark removes it, or the nest when there is
no benchmark any more. Linux only, as are the counters the benchmarks read.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from cpu import process_tree

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
# What a server may take to end by itself after SIGTERM.
GRACE_SECONDS = 10.0
# What the processes that it leaves behind may take.
ORPHANS_GRACE_SECONDS = 2.0


class Asked(Exception):
    """Somebody asked for the end."""


def _on_signal(_number: int, _frame: FrameType | None) -> None:
    raise Asked


def adopt_orphans() -> None:
    """Make this process the parent of every orphan below it, and end it when its own parent ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((PR_SET_CHILD_SUBREAPER, 1), (PR_SET_PDEATHSIG, signal.SIGTERM)):
        if libc.prctl(option, value, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


def reap(seconds: float, leaders: set[int] | None = None) -> bool:
    """Wait for children to end, all of them or the given ones; False when time ran out first."""
    deadline = time.monotonic() + seconds
    while leaders is None or leaders:
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        if ended:
            if leaders is not None:
                leaders.discard(ended)
        elif time.monotonic() > deadline:
            return False
        else:
            signal.sigtimedwait([signal.SIGCHLD], 0.1)
    return True


def signal_descendants(number: signal.Signals) -> None:
    for pid in process_tree(os.getpid())[1:]:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def end_all(leaders: set[int]) -> None:
    """Ask the commands to end; when they have, or had their time, end every process that is still below this one."""
    # Blocked only now, for children inherit the mask; sigtimedwait needs it.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    for leader in leaders:
        try:
            os.killpg(leader, signal.SIGTERM)
        except ProcessLookupError:
            continue
    reap(GRACE_SECONDS, leaders)
    signal_descendants(signal.SIGTERM)
    if reap(ORPHANS_GRACE_SECONDS):
        return
    signal_descendants(signal.SIGKILL)
    while not reap(0.5):  # a process may have been born meanwhile
        signal_descendants(signal.SIGKILL)


def main() -> int:
    adopt_orphans()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _on_signal)
    leaders: set[int] = set()
    benchmark = os.getppid()
    try:
        for argv, environment in json.load(sys.stdin):
            leaders.add(subprocess.Popen(argv, env=environment, start_new_session=True).pid)
        while os.waitpid(-1, 0)[0] not in leaders:
            continue
        return 1  # a server is not supposed to end by itself
    except Asked:
        return 0
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        end_all(leaders)
        if os.getppid() != benchmark:
            shutil.rmtree(Path.cwd())


if __name__ == "__main__":
    sys.exit(main())

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from cpu import process_cpu_seconds, process_memory, process_tree, tree_cpu_seconds, tree_memory

BURN = "import time\nend = time.process_time() + {seconds}\nwhile time.process_time() < end: pass\n"
WAIT = "print('ready', flush=True); import sys; sys.stdin.read()"


class Program:
    """A Python program that says "ready" when it is, and ends when its input does."""

    def __init__(self, source: str) -> None:
        command = [sys.executable, "-c", source]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"
        self.pid = self.process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()


def process_state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)  # other processes are watched: no event tells of them


def test_a_process_is_charged_for_threads_that_ended() -> None:
    burn = BURN.format(seconds=0.2)
    thread = (
        f"import threading\nthread = threading.Thread(target=exec, args=({burn!r},))\nthread.start()\nthread.join()\n"
    )
    with Program(thread + WAIT) as program:
        assert 0.2 <= process_cpu_seconds(program.pid) < 0.6


def test_a_tree_is_charged_for_children_that_ended() -> None:
    burn = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN.format(seconds=0.3)!r}])\n"
    with Program(burn + WAIT) as program:
        assert process_tree(program.pid) == [program.pid]
        assert tree_cpu_seconds(program.pid) - process_cpu_seconds(program.pid) >= 0.28


def test_a_tree_holds_grandchildren_and_loses_nobody_over_time() -> None:
    child = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {BURN.format(seconds=0.2)!r}]).wait()\n"
    parent = f"import subprocess, sys\np = subprocess.Popen([sys.executable, '-c', {child!r}])\n{WAIT}\np.wait()"
    with Program(parent) as program:
        seen = [tree_cpu_seconds(program.pid)]
        until(lambda: len(process_tree(program.pid)) == 3)
        while len(process_tree(program.pid)) == 3:
            seen.append(tree_cpu_seconds(program.pid))
            time.sleep(0.01)  # between two samples of a clock with ticks of 10 ms
        seen.append(tree_cpu_seconds(program.pid))
    # Ended children are counted in ticks of 10 ms, two of them a process.
    assert all(later >= earlier - 0.05 for earlier, later in itertools.pairwise(seen))
    assert seen[-1] - seen[0] >= 0.15


def test_memory_sees_what_is_touched() -> None:
    with Program(f"block = bytearray(b'x' * (64 << 20))\n{WAIT}") as heavy, Program(WAIT) as light:
        beyond = process_memory(heavy.pid) - process_memory(light.pid)
    for part in (beyond.uss, beyond.pss, beyond.rss):
        assert part == pytest.approx(64 << 20, rel=0.05)


def test_a_process_that_ended_has_no_memory() -> None:
    with Program(WAIT) as program:
        program.process.kill()
        until(lambda: process_state(program.pid) == "Z")
        with pytest.raises(ProcessLookupError):
            process_memory(program.pid)
        assert process_cpu_seconds(program.pid) > 0  # until it is waited for
    with pytest.raises(ProcessLookupError):
        process_cpu_seconds(program.pid)


def test_a_trees_memory_leaves_out_its_root() -> None:
    with Program(f"import subprocess, sys\np = subprocess.Popen([sys.executable, '-c', 'input()'])\n{WAIT}") as program:
        child = process_tree(program.pid)[1]
        until(lambda: tree_memory(program.pid).rss > 0)
        assert tree_memory(program.pid).rss == pytest.approx(process_memory(child).rss, rel=0.2)

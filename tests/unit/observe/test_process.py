"""What a process costs is what the system says."""

from __future__ import annotations

import gc
import mmap
import os
import subprocess
import sys
import time

import pytest

from kapelle.observe import process
from kapelle.observe.process import cpu_seconds, process_registry, resident_bytes, settle

needs_proc = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@needs_proc
def test_memory_that_is_used_is_seen() -> None:
    before = resident_bytes(os.getpid())
    with mmap.mmap(-1, 64 << 20) as held:  # pages of its own: what tests before this one gave back is not used again
        held.write(b"x" * len(held))
        after = resident_bytes(os.getpid())
    assert before is not None
    assert after is not None
    assert 56 << 20 < after - before < 160 << 20


@needs_proc
def test_the_memory_of_another_process_until_it_is_gone() -> None:
    command = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        size = resident_bytes(other.pid)
        other.communicate(b"\n")
    assert size is not None
    assert 1 << 20 < size < 1 << 30
    assert resident_bytes(other.pid) is None


def test_time_that_is_used_is_seen() -> None:
    before, used = cpu_seconds(), time.process_time()
    while time.process_time() - used < 0.05:
        sum(range(1000))
    assert cpu_seconds() - before == pytest.approx(time.process_time() - used, abs=0.02)


@pytest.mark.parametrize("has_proc", [True, False])
def test_a_process_tells_its_own_cost(has_proc: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_proc:
        monkeypatch.setattr(process, "resident_bytes", lambda _: None)
    cpu, memory = process_registry(role="door").collect()
    assert cpu.samples[0].labels == (("role", "door"),)
    assert (cpu.name, cpu.kind) == ("kapelle_process_cpu_seconds_total", "counter")
    assert cpu.samples[0].value > 0
    assert (memory.name, memory.kind) == ("kapelle_process_resident_memory_bytes", "gauge")
    assert 10 << 20 < memory.samples[0].value < 10 << 30


def test_after_the_start_the_collector_looks_at_what_is_new() -> None:
    before = gc.get_threshold()
    try:
        settle()
        assert gc.get_freeze_count() > 10_000
        assert gc.get_threshold()[0] > before[0]
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


@pytest.mark.parametrize("runner", ["asyncio.run", "uvloop.run"])
def test_a_signal_to_what_user_code_has_forked_is_not_one_to_the_process(runner: str) -> None:
    code = f"""
import asyncio, multiprocessing, os, signal, threading, uvloop
from kapelle.observe.process import on_signals

def fork() -> int:
    child = multiprocessing.get_context("fork").Process(target=threading.Event().wait)
    child.start()
    child.terminate()
    child.join(10)
    if child.exitcode is None:
        child.kill()
    return child.exitcode

async def main() -> None:
    told = []
    heard = asyncio.Event()
    on_signals(lambda: told.append(0))
    on_signals(lambda: (told.append(1), heard.set()))
    ended = await asyncio.to_thread(fork), fork()
    assert ended == (-signal.SIGTERM, -signal.SIGTERM), ended
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())
    os.kill(os.getpid(), signal.SIGTERM)
    await heard.wait()
    assert told == [1], told

{runner}(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr

"""Memory is that of all processes that live, at its highest."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from apps.question_search import demo_memory
from apps.question_search.demo_memory import Memory


def test_it_is_of_all_that_live() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        alone, both = Memory([os.getpid()]), Memory([os.getpid(), other.pid])
        assert both.now() > alone.now() > 1 << 20
        other.communicate(b"\n")
    assert Memory([other.pid]).now() == 0


async def test_the_peak_is_kept_until_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_memory, "EVERY", 0.0)
    seen, values = asyncio.Event(), iter([1, 5, 3])
    loop = asyncio.get_running_loop()

    def now() -> int:
        value = next(values, 0)
        if not value:
            loop.call_soon_threadsafe(seen.set)
        return value

    memory = Memory([])
    monkeypatch.setattr(memory, "now", now)
    watching = asyncio.create_task(memory.watch())
    await seen.wait()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert memory.take_peak() == 5
    assert memory.take_peak() == 0

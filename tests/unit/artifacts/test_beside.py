"""User code beside everything else: its outcome comes back, and nobody else waits for it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from kapelle.artifacts.beside import beside


async def test_what_it_returns_or_raises_comes_back() -> None:
    assert await beside(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        await beside(lambda: 1 // 0)


async def test_the_event_loop_goes_on_meanwhile() -> None:
    held = threading.Event()
    waiting = asyncio.create_task(beside(held.wait))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not waiting.done()
    held.set()
    assert await waiting


async def test_stop_iteration_is_an_error_like_others() -> None:
    def stop() -> None:
        raise StopIteration(7)

    with pytest.raises(RuntimeError, match=r"StopIteration\(7\)"):
        await beside(stop)


async def test_nobody_needs_to_wait_to_the_end() -> None:
    held = threading.Event()
    waiting = asyncio.create_task(beside(held.wait))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    held.set()


def test_the_process_ends_though_it_never_does() -> None:
    text = (
        "import asyncio, threading\nfrom kapelle.artifacts.beside import beside\n"
        "async def main():\n"
        "    task = asyncio.create_task(beside(threading.Event().wait))\n"
        "    await asyncio.sleep(0)\n"
        "asyncio.run(main())\n"
    )
    assert subprocess.run([sys.executable, "-c", text], timeout=30, check=False).returncode == 0

"""Of the processes of a machine few build at a time, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from kapelle.artifacts.turns import Turns


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


async def test_one_after_the_other(tmp_path: Path) -> None:
    at_work, most = 0, 0

    async def build(number: int) -> None:
        nonlocal at_work, most
        async with Turns(tmp_path, f"Shard-{number}", 30.0).turn():
            at_work += 1
            most = max(most, at_work)
            for _ in range(10):
                await asyncio.sleep(0)
            at_work -= 1

    await asyncio.gather(*(build(number) for number in range(8)))
    assert (at_work, most) == (0, 1)


async def test_larger_machines_build_more_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    async with AsyncExitStack() as stack:
        for number in range(4):
            await asyncio.wait_for(stack.enter_async_context(Turns(tmp_path, f"Shard-{number}", 30.0).turn()), 10)


async def test_nobody_waits_for_ever(tmp_path: Path) -> None:
    async with Turns(tmp_path, "a", 30.0).turn(), Turns(tmp_path, "a", 0.05).turn():
        pass
    async with asyncio.timeout(10), Turns(tmp_path, "a", 30.0).turn():
        pass


async def test_whoever_is_told_to_stop_leaves_the_turn_to_others(tmp_path: Path) -> None:
    async def wait() -> None:
        async with Turns(tmp_path, "a", 30.0).turn():
            await asyncio.Event().wait()

    async with Turns(tmp_path, "a", 30.0).turn():
        waiting = [asyncio.create_task(wait()) for _ in range(3)]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    async with asyncio.timeout(10), Turns(tmp_path, "a", 30.0).turn():
        pass


async def test_where_there_can_be_no_turns_everybody_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with (
        Turns(tmp_path / "file" / "folder", "a", 30.0).turn(),
        Turns(tmp_path / "file" / "folder", "a", 30.0).turn(),
    ):
        pass

"""Tasks run although nobody holds them, and can be stopped or waited for together."""

from __future__ import annotations

import asyncio
import gc

import pytest

from kapelle.tasks import Tasks


async def test_a_task_lives_until_it_ends() -> None:
    tasks, go, ended = Tasks(), asyncio.Event(), []

    async def work(number: int) -> None:
        await go.wait()
        ended.append(number)

    for number in range(3):
        tasks.spawn(work(number))
    gc.collect()
    assert len(tasks) == 3
    go.set()
    await tasks.ended()
    assert ended == [0, 1, 2]
    assert list(tasks) == []


async def test_they_are_stopped_together() -> None:
    tasks = Tasks()
    one = tasks.spawn(asyncio.Event().wait())  # type: ignore[arg-type]  # what it returns is of no interest
    await asyncio.sleep(0)
    tasks.cancel()
    await tasks.ended()
    assert one.cancelled()
    assert not tasks


async def test_one_that_fails_does_not_disturb_whoever_waits() -> None:
    async def fail() -> None:
        raise ValueError("broken")

    tasks = Tasks()
    one = tasks.spawn(fail())
    await tasks.ended()
    with pytest.raises(ValueError, match="broken"):
        one.result()

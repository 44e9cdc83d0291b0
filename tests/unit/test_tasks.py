"""Tasks run although nobody holds them, and can be stopped or waited for together."""

from __future__ import annotations

import asyncio
import gc

import pytest

from kapelle.tasks import Tasks, is_closed, is_stopped


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


@pytest.mark.parametrize("wanted", [True, False])
async def test_a_cancellation_that_nobody_wants_is_told_from_one_that_somebody_does(wanted: bool) -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    found = []

    async def wait() -> None:
        try:
            await future
        except asyncio.CancelledError:
            found.append(is_stopped())

    tasks = Tasks()
    task = tasks.spawn(wait())
    await asyncio.sleep(0)
    (task if wanted else future).cancel()
    await tasks.ended()
    assert found == [wanted]


async def _note_how_it_is_closed(found: list[bool], error: BaseException | None = None) -> None:
    try:
        await asyncio.sleep(0)
        if error is not None:
            raise error
    except GeneratorExit:
        found.append(is_closed())


async def test_an_end_that_user_code_raises_is_told_from_that_of_a_coroutine() -> None:
    found: list[bool] = []
    await _note_how_it_is_closed(found, GeneratorExit())
    assert found == [False]
    asyncio.get_running_loop().call_soon(_close_midway, found)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert found == [False, True], "between the steps of tasks"


def test_without_an_event_loop_a_coroutine_is_being_closed() -> None:
    found: list[bool] = []
    _close_midway(found)
    assert found == [True]


def _close_midway(found: list[bool]) -> None:
    begun = _note_how_it_is_closed(found)
    begun.send(None)
    begun.close()

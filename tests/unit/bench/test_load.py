from __future__ import annotations

import asyncio
import gc
import os

import pytest

from kapelle.bench.load import Tally, measure, settled, time_of
from kapelle.errors import Unavailable


def this_process() -> list[int]:
    return [os.getpid()]


def test_a_tally_shows_the_best_turn_and_the_tail_of_all() -> None:
    tally = Tally()
    tally.add([0.3, 0.1, 0.2], 1.0, 0.6)
    tally.add([0.4, 0.5, 0.6, 0.7], 2.0, 0.4)
    figures = tally.figures
    assert (figures.requests, figures.p50, figures.p99, figures.throughput) == (7, 0.2, 0.7, 3.0)
    assert figures.cpu == pytest.approx(0.1)


def test_a_tally_without_cpu_time_says_so() -> None:
    tally = Tally()
    tally.add([0.1], 1.0, None)
    assert tally.figures.cpu is None


async def test_as_many_callers_as_are_asked_for_send_at_a_time() -> None:
    most = running = 0

    async def send() -> None:
        nonlocal most, running
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    tally = Tally()
    await measure(tally, send, concurrency=5, seconds=0.01, pids=this_process)
    assert most == 5
    assert tally.figures.requests >= 5


async def test_a_request_that_fails_ends_the_others_too() -> None:
    running = 0

    async def send() -> None:
        nonlocal running
        running += 1
        try:
            if running == 3:
                raise ConnectionResetError("the stage is gone")
            await asyncio.Event().wait()
        finally:
            running -= 1

    with pytest.raises(Unavailable, match=r"does not answer any more: the stage is gone"):
        await measure(Tally(), send, concurrency=3, seconds=0.01, pids=this_process)
    await asyncio.sleep(0)
    assert running == 0


async def test_figures_of_a_process_that_was_replaced_are_refused() -> None:
    numbers = iter(([os.getpid()], [os.getpid(), os.getppid()]))

    with pytest.raises(Unavailable, match="another one has taken its place"):
        await measure(Tally(), lambda: asyncio.sleep(0), concurrency=1, seconds=0.001, pids=lambda: next(numbers))


def test_the_collector_is_as_before_afterwards() -> None:
    before = gc.get_threshold()
    with settled():
        assert gc.get_threshold() > before
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


def test_a_measurement_takes_its_warm_up_as_well() -> None:
    assert time_of(1.0) > 1.0

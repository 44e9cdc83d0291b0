from __future__ import annotations

import os
import signal
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from kapelle.bench.figures import FILES, FUSED, HTTP, HTTPX, SHARED, TCP, UNIX
from kapelle.bench.load import Tally, measure
from kapelle.bench.payload import payload, received
from kapelle.bench.ways import Way, in_one_process, over_http, through_files, ways
from kapelle.control.exits import birth
from kapelle.errors import Unavailable

STAGES = 2


def is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())


async def used(opening: AbstractAsyncContextManager[Way]) -> Way:
    """The way after payloads of both sorts went through it, small and large."""
    async with opening as way:
        for size in (1000, 300_000):
            assert await way.send(payload(size)) == received(payload(size))
            await way.check(payload(size))
        pids = way.pids()
        assert len(pids) == (1 if way.name == FUSED else 1 + STAGES)
    assert [pid for pid in pids if birth(pid)] == [os.getpid()]
    return way


async def test_every_way_delivers_and_leaves_nothing_behind(tmp_path: Path) -> None:
    names = [(await used(opening)).name for opening in ways(STAGES, tmp_path)]
    assert names == [HTTPX, HTTP, FILES, TCP, UNIX, SHARED, FUSED]
    assert is_empty(tmp_path)


async def test_other_bytes_than_were_sent_are_an_error() -> None:
    async def lose(_: object) -> int:
        return -1

    with pytest.raises(Unavailable, match="pigeons delivered other bytes than were sent: a sum of -1"):
        await Way("pigeons", lose, list).check(payload(10))


@pytest.mark.parametrize("kind", ["http", "files"])
async def test_a_stage_that_is_killed_ends_the_measurement_and_nothing_is_left(kind: str, tmp_path: Path) -> None:
    opening = over_http(STAGES) if kind == "http" else through_files(STAGES, tmp_path)
    async with opening as way:
        await way.check(payload(1000))
        _, first, *_ = pids = way.pids()

        async def send() -> None:
            os.kill(first, signal.SIGKILL)
            await way.check(payload(1000))
            await way.check(payload(1000))

        with pytest.raises(Unavailable, match=r"does not answer any more|gone"):
            await measure(Tally(), send, concurrency=1, seconds=1.0, pids=way.pids)
    assert not any(map(birth, pids[1:]))
    assert is_empty(tmp_path)


async def test_fused_there_is_no_other_process() -> None:
    async with in_one_process(3) as way:
        assert way.pids() == [os.getpid()]
        await way.check(payload(1000))

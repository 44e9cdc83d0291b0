"""Room for large bodies, in the process's own memory and in what services share."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from kapelle.gateway.bodies import Body, plain_room, shared_room
from kapelle.observe.metrics import Registry
from kapelle.transport.sharing import Arenas

DATA = bytes(range(256)) * 16


def fill(body: Body, data: bytes, step: int) -> bytes | memoryview:
    for at in range(0, len(data), step):
        part = data[at : at + step]
        body.rest[: len(part)] = part
        whole = body.grew(len(part))
        if whole is not None:
            assert at + step >= len(data)
            return whole
    raise AssertionError("it never got whole")


@pytest.mark.parametrize("step", [1, 1000, 4096])
def test_a_body_becomes_bytes(step: int) -> None:
    body = Body(plain_room(len(DATA)), [DATA[:5], bytearray(DATA[5:7])])
    assert body.held == 7
    whole = fill(body, DATA[7:], step)
    assert isinstance(whole, bytes)
    assert whole == DATA


@pytest.mark.parametrize("shift", [0, 3, 15])
async def test_a_body_lies_in_memory_that_services_share(shift: int) -> None:
    arenas = Arenas(1 << 20, Registry())
    try:
        room = shared_room(arenas, len(DATA), shift)
        assert room is not None
        whole = fill(Body(room, []), DATA, 1000)
        assert isinstance(whole, memoryview)
        assert whole == DATA
        assert whole.readonly
        address = np.frombuffer(whole, np.uint8).__array_interface__["data"][0]
        assert address % 16 == shift
        assert arenas.used > 0
        del room, whole
        assert arenas.own is not None
        arenas.own.collect()
        assert arenas.used == 0
    finally:
        arenas.close()
        await asyncio.sleep(0)


async def test_half_of_the_memory_is_for_others() -> None:
    arenas = Arenas(1 << 20, Registry())
    try:
        kept = [shared_room(arenas, 200_000, 0) for _ in range(4)]
        assert [one is not None for one in kept] == [True, True, False, False]
        assert shared_room(arenas, 1 << 20, 0) is None
    finally:
        arenas.close()


async def test_there_may_be_none() -> None:
    assert shared_room(Arenas(0, Registry()), 10, 0) is None

"""Large bodies from a client's socket into the memory that services share, and on to a replica."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack
from typing import Any

import httpx
import msgspec
import numpy as np

from kapelle.testing import ProcessSystem, running_processes
from tests.integration.processes.darkroom import Darkroom
from tests.integration.processes.scales import Scales

SIZE = 150_000
ONES = np.ones(SIZE, np.float32)


async def fallbacks(system: ProcessSystem) -> float:
    text = (await system.client.get("/metrics")).text
    found = re.findall(r"^kapelle_shared_memory_fallbacks_total{.*reason=\"full\".*} (\S+)$", text, re.MULTILINE)
    return sum(map(float, found))


def tensor(array: Any, **shape: Any) -> tuple[bytes, dict[str, str]]:
    """A request for an inference with one binary tensor."""
    about = {"name": "x", "shape": [array.size], "datatype": "FP32", "parameters": {"binary_data_size": array.nbytes}}
    head = msgspec.json.encode({"inputs": [about | shape]})
    return head + array.tobytes(), {"inference-header-content-length": str(len(head))}


async def weigh(client: httpx.AsyncClient, number: int) -> None:
    array = ONES * number
    assert (await client.post("/weigh", content=array.tobytes())).json() == number * SIZE
    body, headers = tensor(array)
    answer = await client.post("/v2/models/Scale.weigh/infer", content=body, headers=headers)
    assert answer.json()["outputs"][0]["data"] == [float(number * SIZE)]


async def test_bodies_reach_the_replica_whole_whether_or_not_there_is_room() -> None:
    for room in (64 << 20, 1 << 20, 0):
        async with running_processes(Scales, shared_memory=room) as system:
            for _ in range(3):
                await asyncio.gather(*(weigh(system.client, number) for number in range(1, 9)))
            assert system.outcomes == []


async def develop(client: httpx.AsyncClient, photo: bytes) -> None:
    answer = await client.post("/develop", files={"file": ("photo.jpg", photo)})
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.content == b"\0" + photo[1:]
    assert (await client.post("/show", content=photo)).content == photo


async def test_photographs_go_through_services_as_bytes_whether_or_not_there_is_room() -> None:
    photo = bytes(range(1, 256)) * 6000
    for room in (64 << 20, 1 << 20, 0):
        async with running_processes(Darkroom, shared_memory=room) as system:
            for size in (len(photo), 70_000, 5000, 1):
                await asyncio.gather(*(develop(system.client, photo[:size]) for _ in range(4)))
            assert system.outcomes == []
            assert (await fallbacks(system) > 0) == (room == 1 << 20)


async def test_clients_that_stall_within_a_body_do_not_take_the_memory_of_others() -> None:
    async with running_processes(Scales, shared_memory=16 << 20) as system, AsyncExitStack() as stalled:
        host, _, port = system.url.removeprefix("http://").partition(":")
        for _ in range(20):
            _, writer = await asyncio.open_connection(host, int(port))
            stalled.callback(writer.close)
            writer.write(b"POST /weigh HTTP/1.1\r\nhost: h\r\ncontent-length: 600000\r\n\r\n" + bytes(100_000))
            await writer.drain()
        before = await fallbacks(system)
        for number in range(1, 9):
            await weigh(system.client, number)
        assert await fallbacks(system) == before, "half of the memory is for what services hand each other"
        await stalled.aclose()
        await asyncio.gather(*(weigh(system.client, number) for number in range(1, 5)))


async def test_a_gateway_that_is_killed_within_a_body_leaves_nothing() -> None:
    async with running_processes(Scales) as system:
        host, _, port = system.url.removeprefix("http://").partition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /weigh HTTP/1.1\r\nhost: h\r\ncontent-length: 600000\r\n\r\n" + bytes(300_000))
        await writer.drain()
        pid = system.kill("gateway-0")
        await system.restarted("gateway-0", pid)
        await weigh(system.client, 3)
        writer.close()

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from kapelle.bench import server
from kapelle.bench.client import HttpClient, Request
from kapelle.bench.payload import payload, received


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async with await asyncio.get_running_loop().create_server(server.HttpStage, "127.0.0.1", 0) as listening:
        yield listening.sockets[0].getsockname()[1]


@pytest.fixture
async def client(port: int) -> AsyncIterator[HttpClient]:
    client = HttpClient("127.0.0.1", port)
    yield client
    client.close()


@pytest.mark.parametrize("size", [1, 1000, 3_000_000])
async def test_passes_on_as_many_bytes_as_came(client: HttpClient, size: int) -> None:
    for _ in range(2):
        answer = await client.send(Request("POST", server.PASS_ON, payload(size).data))
        assert answer.body == bytes(payload(size))


async def test_gives_the_sum_at_the_end(client: HttpClient) -> None:
    answer = await client.send(Request("POST", server.FINISH, payload(50_000).data))
    assert int(answer.body) == received(payload(50_000))


async def test_hangs_up_on_what_is_no_http(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"pigeons\r\n\r\n")
    with suppress(ConnectionResetError):
        assert await reader.read() == b""
    writer.close()

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from kapelle.bench import framework, server
from kapelle.bench.payload import payload, received
from kapelle.transport.door import open_door

pytest.importorskip("uvicorn")


@pytest.fixture
async def port() -> AsyncIterator[int]:
    bound = open_door("127.0.0.1", 0)
    work, end = framework.serve(bound)
    serving = asyncio.create_task(work)
    yield bound.getsockname()[1]
    end()
    await serving
    bound.close()


@pytest.mark.parametrize("size", [1000, 3_000_000])
async def test_a_stage_passes_on_and_sums_up(port: int, size: int) -> None:
    data = payload(size).tobytes()
    async with framework.client("127.0.0.1", port) as client:
        assert await framework.ask(client, server.PASS_ON, data) == data
        assert int(await framework.ask(client, server.FINISH, data)) == received(data)


async def test_a_stage_that_is_gone_is_an_error() -> None:
    bound = open_door("127.0.0.1", 0)
    port = bound.getsockname()[1]
    bound.close()
    async with framework.client("127.0.0.1", port) as client:
        with pytest.raises(ConnectionError):
            await framework.ask(client, server.FINISH, b"data")


def test_is_left_out_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert framework.installed()
    monkeypatch.setattr(framework, "find_spec", lambda name: None if name == "uvicorn" else object())
    assert not framework.installed()

"""Draining: what was received is answered, what rests is closed, and nobody is reset."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.http.client import get, post
from tests.integration.http.echo import Echo
from tests.integration.http.serving import PATIENCE, Served, until


async def draining(served: Served, seconds: float = PATIENCE) -> asyncio.Task[bool]:
    """A drain that has begun."""
    served.server.close()
    task = asyncio.ensure_future(served.gateway.drain(seconds))
    await asyncio.sleep(0)
    return task


async def test_connections_at_rest_are_closed(echo: Served) -> None:
    fresh, used = await echo.connect(), await echo.connect()
    await used.ask(get("/hello"))
    drain = await draining(echo)
    assert await fresh.rest() == b""
    assert await used.rest() == b""
    await fresh.close()
    await used.close()
    assert await drain


async def test_new_connections_are_refused(echo: Served) -> None:
    await draining(echo)
    with pytest.raises(ConnectionRefusedError):
        await echo.connect()


async def test_what_runs_is_answered_and_then_closed(echo: Served) -> None:
    app: Echo = echo.assembly.app
    clients = [await echo.connect() for _ in range(5)]
    for client in clients:
        await client.send(get("/hold"))
    await until(lambda: app.held == 5)
    drain = await draining(echo)
    assert not drain.done()
    app.let_go.set()
    for client in clients:
        answer = await client.answer()
        assert (answer.body, answer.closes) == (b"let go", True)
        assert await client.rest() == b""
        await client.close()
    assert await drain


async def test_pipelined_requests_are_all_answered(echo: Served) -> None:
    client = await echo.connect()
    await client.send(get("/hold") + get("/number/1") + get("/number/2"))
    await asyncio.wait_for(echo.assembly.app.entered.wait(), PATIENCE)
    drain = await draining(echo)
    echo.assembly.app.let_go.set()
    answers = [await client.answer() for _ in range(3)]
    assert [one.body for one in answers] == [b"let go", b"1", b"2"]
    assert [one.closes for one in answers] == [False, False, True]
    assert await client.rest() == b""
    await client.close()
    assert await drain


async def test_a_request_on_its_way_is_awaited(echo: Served) -> None:
    client = await echo.connect()
    data = post("/echo", b"x" * 1000)
    await client.send(get("/hello"), data[:500])
    assert (await client.answer()).body == b"hello"
    await until(lambda: echo.gateway.held > 0)
    drain = await draining(echo)
    await client.send(data[500:])
    answer = await client.answer()
    assert (answer.body, answer.closes) == (b"x" * 1000, True)
    await client.close()
    assert await drain


async def test_a_drain_under_load_loses_nothing(echo: Served) -> None:
    """Clients that ask as fast as they can: every request that was sent is answered."""
    answered = 0
    stopped = asyncio.Event()

    async def ask() -> None:
        nonlocal answered
        client = await echo.connect()
        while True:
            answer = await client.ask(post("/echo", b"data"))
            assert answer.body == b"data"
            answered += 1
            if answered == 500:
                stopped.set()
            if answer.closes:
                assert await client.rest() == b""
                await client.close()
                return

    asking = [asyncio.ensure_future(ask()) for _ in range(20)]
    await asyncio.wait_for(stopped.wait(), PATIENCE)
    # As in production: the answers say close first, and some time later whoever still rests is closed.
    echo.gateway.draining = True
    await asyncio.wait_for(asyncio.gather(*asking), PATIENCE)
    assert await (await draining(echo))


async def test_what_does_not_end_in_time_is_said_to_remain(echo: Served) -> None:
    client = await echo.connect()
    await client.send(get("/hold"))
    await asyncio.wait_for(echo.assembly.app.entered.wait(), PATIENCE)
    assert not await (await draining(echo, 0.1))
    echo.gateway.close()
    assert await client.rest() == b""
    await asyncio.wait_for(echo.assembly.app.left.wait(), PATIENCE)


async def test_clients_that_linger_do_not_count_as_requests(echo: Served) -> None:
    client = await echo.connect()
    await client.send(b"GET /hel")
    await until(lambda: echo.count("kapelle_connections") == 1)
    assert await (await draining(echo, 0.1))

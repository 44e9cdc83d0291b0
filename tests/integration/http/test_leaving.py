"""Clients that go away: their work is cancelled, and all that was counted for them is given back."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.http.client import Client, get, post
from tests.integration.http.echo import Echo
from tests.integration.http.serving import PATIENCE, Served, serving


@pytest.mark.parametrize("how", ["close", "vanish"])
@pytest.mark.parametrize("behind", [b"", get("/hello"), get("/hello") * 10, b"GET /hel"])
async def test_work_for_nobody_is_cancelled(echo: Served, client: Client, how: str, behind: bytes) -> None:
    app: Echo = echo.assembly.app
    await client.send(post("/hold", b"x" * 1000) + behind)
    await asyncio.wait_for(app.entered.wait(), PATIENCE)
    assert echo.gateway.admitted == 1
    if how == "close":
        await client.close()
    else:
        client.vanish()
    await asyncio.wait_for(app.left.wait(), PATIENCE)
    assert app.ended == ["cancelled"]
    await echo.at_rest()
    assert echo.count("kapelle_requests_total", status="499") == 1
    assert echo.count("kapelle_requests_total", status="200") == 0


async def test_a_client_that_is_gone_before_its_work_began(echo: Served) -> None:
    """The request and the reset may be read in one turn of the loop, before the request's task has had its first."""
    for _ in range(50):
        client = await Client.open(echo.port)
        await client.send(get("/hold") * 3)
        client.vanish()
    await echo.at_rest()
    assert echo.assembly.app.held == 0


async def test_places_are_free_again() -> None:
    async with serving(Echo, max_requests=2) as served:
        for _ in range(5):
            served.assembly.app.entered.clear()
            client = await served.connect()
            await client.send(get("/hold"))
            await asyncio.wait_for(served.assembly.app.entered.wait(), PATIENCE)
            client.vanish()
            await served.at_rest()


async def test_half_a_request_leaves_nothing(echo: Served) -> None:
    for data in (b"", b"GET", b"GET / HTTP/1.1\r\nHo", post("/echo", bytes(50_000))[:-1]):
        client = await Client.open(echo.port)
        await client.send(data)
        await client.close()
    await echo.at_rest()


async def test_a_client_that_is_only_done_with_sending_gets_its_answers(client: Client) -> None:
    await client.send(get("/hello") + get("/number/7"))
    client.finish_sending()
    assert [(await client.answer()).body for _ in range(2)] == [b"hello", b"7"]
    assert await client.rest() == b""


async def test_but_not_for_long(echo: Served, client: Client) -> None:
    await client.send(get("/hold"))
    client.finish_sending()
    assert await client.rest() == b""
    assert echo.assembly.app.ended == ["cancelled"]


async def test_half_a_request_and_then_the_end(client: Client) -> None:
    await client.send(get("/hello") + get("/hello")[:-3])
    client.finish_sending()
    assert (await client.answer()).body == b"hello"
    assert await client.rest() == b""

"""Bounds on what a client may send, how long it may take, and how much of it is kept meanwhile."""

from __future__ import annotations

import asyncio
import resource
import sys

import pytest

from tests.integration.http.client import Client, get, post, request
from tests.integration.http.echo import Echo
from tests.integration.http.serving import PATIENCE, Served, serving, until

# --- sizes ------------------------------------------------------------------------------------------------------------


async def test_a_body_of_the_largest_size_is_taken(client: Client) -> None:
    body = bytes(100_000)
    assert (await client.ask(post("/echo", body))).body == body


async def test_a_large_body_is_refused_by_its_length_alone(client: Client) -> None:
    await client.send(b"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 20000000\r\n\r\n")
    answer = await client.answer()
    assert (answer.status, answer.closes) == (413, True)
    assert answer.json["type"] == "urn:kapelle:error:too-large"
    assert "over the limit of 100000 bytes" in answer.json["detail"]


@pytest.mark.parametrize("coding", ["Content-Length: 20000000", "Transfer-Encoding: chunked"])
async def test_a_client_that_sends_it_all_the_same_sees_the_answer(echo: Served, client: Client, coding: str) -> None:
    part = b"10000\r\n" + bytes(65536) + b"\r\n"
    before = _peak_memory()
    await client.send(f"POST /echo HTTP/1.1\r\nHost: t\r\n{coding}\r\n\r\n".encode())
    for _ in range(20_000_000 // len(part)):
        await client.send(part)
    answer = await client.answer()
    assert (answer.status, answer.closes) == (413, True)
    assert await client.rest() == b""
    assert _peak_memory() - before < 10_000_000


def _peak_memory() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


async def test_chunks_are_counted_while_they_come(client: Client) -> None:
    await client.send(b"POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")
    await client.send(b"186a0\r\n" + bytes(100_000) + b"\r\n")
    await client.send(b"1\r\n")
    await client.send(b"x")
    assert (await client.answer()).status == 413


@pytest.mark.parametrize("in_one", [True, False])
@pytest.mark.parametrize(
    ("flood", "status", "detail"),
    [
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: t\r\n\r\n", 414, "target is over 8192 bytes"),
        (b"GET /?" + b"a" * 500_000, 414, "target is over 8192 bytes"),
        (b"GET / HTTP/1.1\r\nHost: t\r\n" + b"x: y\r\n" * 101 + b"\r\n", 431, "over 100 headers"),
        (b"GET / HTTP/1.1\r\nHost: t\r\n" + b"x: y\r\n" * 100_000, 431, "over 100 headers"),
        (b"GET / HTTP/1.1\r\nHost: t\r\nX: " + b"y" * 40_000 + b"\r\n\r\n", 431, "head is over 32768 bytes"),
        (b"GET / HTTP/1.1\r\nHost: t\r\n" + (b"x: %b\r\n" % (b"y" * 700)) * 50 + b"\r\n", 431, "head is over"),
        (b"GET / HTTP/1.1\r\nHost: t\r\nX: " + b"y" * 500_000, 431, "head is over 32768 bytes"),
        (b"GET / HTTP/1.1\r\nHost: t\r\n" + b"x" * 500_000, 431, "head is over 32768 bytes"),
    ],
)
async def test_floods_of_headers(client: Client, flood: bytes, status: int, detail: str, in_one: bool) -> None:
    pieces = [flood] if in_one else [flood[start : start + 1000] for start in range(0, len(flood), 1000)]
    for piece in pieces:
        await client.send(piece)
        await asyncio.sleep(0)  # a turn of the loop, in which the gateway reads it
    answer = await client.answer()
    assert (answer.status, answer.closes) == (status, True)
    assert detail in answer.json["detail"]


async def test_a_large_head_behind_another_request_is_found_out_as_well(client: Client) -> None:
    await client.send(get("/hello") + get("/hello", "X: " + "y" * 40_000))
    assert [(await client.answer()).status for _ in range(2)] == [200, 431]


async def test_heads_up_to_the_limits_are_taken(client: Client) -> None:
    many = [f"x-{number}: y" for number in range(99)]
    assert (await client.ask(get("/hello", *many))).status == 200
    assert (await client.ask(get("/hello", "X: " + "y" * 32_000))).status == 200
    assert (await client.ask(get("/hello?" + "&".join(["a="] * 2000)))).status == 200


@pytest.mark.parametrize(
    ("flood", "detail"), [(b"x: y\r\n" * 200, "over 100 headers"), (b"x: " + b"y" * 500_000, "head is over")]
)
async def test_floods_of_trailers(client: Client, flood: bytes, detail: str) -> None:
    await client.send(b"POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n")
    for start in range(0, len(flood), 1000):
        await client.send(flood[start : start + 1000])
        await asyncio.sleep(0)  # a turn of the loop, in which the gateway reads it
    answer = await client.answer()
    assert (answer.status, answer.closes) == (431, True)
    assert detail in answer.json["detail"]


async def test_many_small_chunks_are_kept_as_one_body(client: Client) -> None:
    await client.send(b"POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")
    await client.send(b"2\r\nab\r\n" * 50_000 + b"0\r\n\r\n")
    assert (await client.answer()).body == b"ab" * 50_000


async def test_connections_beyond_the_limit_are_told_so() -> None:
    async with serving(Echo, max_connections=2) as served:
        first, second = await served.connect(), await served.connect()
        assert (await first.ask(get("/hello"))).status == 200
        assert (await second.ask(get("/hello"))).status == 200
        third = await served.connect()
        answer = await third.ask(get("/hello"))
        assert (answer.status, answer.closes, answer.headers["retry-after"]) == (503, True, "1")
        assert await third.rest() == b""
        await third.close()
        await first.close()
        await until(lambda: served.count("kapelle_connections") == 1)
        fourth = await served.connect()
        assert (await fourth.ask(get("/hello"))).status == 200


async def test_requests_that_are_still_arriving_are_counted_too() -> None:
    async with serving(Echo, max_body=60_000, max_request_bytes=100_000) as served:
        slow = [await served.connect() for _ in range(3)]
        for client in slow[:2]:
            await client.send(b"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 50001\r\n\r\n", bytes(40_000))
        await until(lambda: served.gateway.held == 80_000)
        await slow[2].send(b"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 50000\r\n\r\n", bytes(40_000))
        answer = await slow[2].answer()
        assert (answer.status, answer.closes, answer.headers["retry-after"]) == (429, True, "1")
        assert served.gateway.held == 80_000
        slow[0].vanish()
        await until(lambda: served.gateway.held == 40_000)
        await slow[1].send(bytes(10_001))
        assert (await slow[1].answer()).body == bytes(50_001)
        assert served.gateway.held == 0


async def test_pipelining_is_read_ahead_only_so_far(echo: Served, client: Client) -> None:
    """Behind a request that takes long, a client cannot fill the gateway's memory."""
    await client.send(get("/hold"))
    await echo.assembly.app.entered.wait()
    flood = post("/echo", bytes(50_000))
    sending = asyncio.ensure_future(client.send(*[flood] * 600))
    done, _ = await asyncio.wait({sending}, timeout=0.5)
    assert not done, "30 MB were read behind a request that is still answered"
    assert echo.gateway.held < 4_000_000
    echo.assembly.app.let_go.set()
    assert (await client.answer()).body == b"let go"
    for _ in range(600):
        assert (await client.answer()).status == 200
    await sending


# --- time -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "start",
    [
        b"GET /hel",
        b"GET /hello HTTP/1.1\r\nHost: t\r\nX-Slow: ",
        b"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nabc",
        b"POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
)
@pytest.mark.parametrize("after", [b"", get("/hello")])
async def test_a_request_that_stops_on_its_way(start: bytes, after: bytes) -> None:
    async with serving(Echo, header_timeout=0.1, body_timeout=0.1) as served:
        client = await served.connect()
        await client.send(after + start)
        if after:
            assert (await client.answer()).status == 200
        answer = await client.answer()
        assert (answer.status, answer.closes) == (408, True)
        assert await client.rest() == b""


async def test_drops_now_and_then_do_not_buy_time() -> None:
    async with serving(Echo, header_timeout=0.1) as served:
        client = await served.connect()
        await client.send(b"GET /hello HTTP/1.1\r\nHost: t\r\n")
        reading = asyncio.ensure_future(client.answer())
        number = 0
        while not reading.done():
            number += 1
            await client.send(b"x-%d: y\r\n" % number if number < 90 else b"")
            await asyncio.wait({reading}, timeout=0.03)
        assert reading.result().status == 408


@pytest.mark.parametrize("first", [b"", get("/hello"), b"\r\n", b"GE"])
async def test_connections_at_rest_are_closed_in_the_end(first: bytes) -> None:
    async with serving(Echo, header_timeout=0.1, keep_alive=0.1) as served:
        client = await served.connect()
        await client.send(first)
        if first.startswith(b"GET"):
            assert (await client.answer()).status == 200
        assert await client.rest() == b""


async def test_a_slow_body_is_not_a_slow_head() -> None:
    async with serving(Echo, header_timeout=0.1) as served:
        client = await served.connect()
        await client.send(b"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\n")
        swept = asyncio.Event()
        served.gateway.every_second(lambda _: swept.set())
        for _ in range(2):
            swept.clear()
            await asyncio.wait_for(swept.wait(), PATIENCE)
        assert (await client.ask(b"ok")).body == b"ok"


async def test_an_answer_nobody_reads_is_given_up() -> None:
    async with serving(Echo, body_timeout=0.1) as served:
        client = await served.connect()
        await client.send(get("/big/50000000"))
        await served.at_rest()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await client.answer()


async def test_answers_nobody_reads_do_not_pile_up() -> None:
    """A client that asks and asks and never reads is not answered any more once the first answers are stuck."""
    async with serving(Echo) as served:
        client = await served.connect()
        await client.send(get("/big/10000000") * 20)
        await until(lambda: served.count("kapelle_requests_total") > 0)
        swept = asyncio.Event()
        served.gateway.every_second(lambda _: swept.set())
        await asyncio.wait_for(swept.wait(), PATIENCE)
        assert served.count("kapelle_requests_total") == 1
        assert [len((await client.answer()).body) for _ in range(20)] == [10_000_000] * 20


async def test_a_slow_reader_gets_all_of_a_big_answer(client: Client) -> None:
    await client.send(get("/big/3000000", "Connection: close"))
    assert len((await client.answer()).body) == 3_000_000
    assert await client.rest() == b""


async def test_refused_requests_are_counted(echo: Served, client: Client) -> None:
    await client.ask(request("GET", "/hello", b"", "Content-Length: x"))
    assert echo.count("kapelle_requests_total", status="400") == 1

"""Connections: keep-alive, HTTP/1.0, pipelining, chunked bodies, Expect, offers to upgrade."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.http.client import Client, get, post, request
from tests.integration.http.serving import Served


async def test_a_connection_serves_many_requests(client: Client) -> None:
    for number in range(20):
        answer = await client.ask(get(f"/number/{number}"))
        assert (answer.status, answer.body, "connection" in answer.headers) == (200, b"%d" % number, False)


async def test_close_is_granted(client: Client) -> None:
    answer = await client.ask(get("/hello", "Connection: keep-alive, close"))
    assert answer.closes
    assert await client.rest() == b""


async def test_http_1_0_closes_unless_it_asks_to_stay(echo: Served, client: Client) -> None:
    answer = await client.ask(b"GET /hello HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
    assert (answer.body, answer.headers["connection"]) == (b"hello", "keep-alive")
    answer = await client.ask(b"POST /echo HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi")
    assert (answer.body, answer.closes) == (b"hi", True)
    assert await client.rest() == b""


async def test_head_has_the_head_of_get(client: Client) -> None:
    whole = await client.ask(get("/hello", "X-Request-Id: same"))
    head = await client.ask(request("HEAD", "/hello", b"", "X-Request-Id: same"), "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers | {"date": ""} == whole.headers | {"date": ""}
    assert (await client.ask(request("HEAD", "/nowhere"), "HEAD")).status == 404
    assert (await client.ask(get("/hello"))).body == b"hello"


async def test_pipelined_requests_are_answered_in_order(client: Client) -> None:
    numbers = range(200)
    await client.send(b"".join(get(f"/number/{number}") for number in numbers))
    assert [(await client.answer()).body for _ in numbers] == [b"%d" % number for number in numbers]


async def test_pipelining_goes_on_behind_a_slow_answer(echo: Served, client: Client) -> None:
    await client.send(
        get("/hold") + b"".join(get(f"/number/{number}") for number in range(100)) + post("/echo", b"end")
    )
    await echo.assembly.app.entered.wait()
    echo.assembly.app.let_go.set()
    answers = [await client.answer() for _ in range(102)]
    assert [one.body for one in answers] == [b"let go", *(b"%d" % number for number in range(100)), b"end"]


async def test_many_refusals_in_a_row_do_not_pile_up(client: Client) -> None:
    """Answers that are given at once must not nest: thousands fit into one read."""
    await client.send(request("PUT", "/hello") * 3000)
    statuses = [(await client.answer()).status for _ in range(3000)]
    assert set(statuses) == {405}


async def test_a_malformed_request_does_not_harm_those_before_it(echo: Served, client: Client) -> None:
    await client.send(get("/hold") + get("/number/1") + b"NONSENSE\r\n\r\n" + get("/number/2"))
    await echo.assembly.app.entered.wait()
    echo.assembly.app.let_go.set()
    answers = [await client.answer() for _ in range(3)]
    assert [one.status for one in answers] == [200, 200, 400]
    assert [one.closes for one in answers] == [False, False, True]
    assert await client.rest() == b""


async def test_nothing_is_answered_after_close(client: Client) -> None:
    await client.send(get("/number/1") + get("/number/2", "Connection: close") + get("/number/3"))
    assert (await client.answer()).body == b"1"
    assert (await client.answer()).body == b"2"
    assert await client.rest() == b""


async def test_requests_arrive_in_any_pieces(client: Client) -> None:
    data = post("/echo", b"some body", "X-Note: a\tb")
    for byte in data:
        await client.send(bytes([byte]))
        await asyncio.sleep(0)  # a turn of the loop, in which the gateway reads it
    assert (await client.answer()).body == b"some body"


async def test_empty_lines_before_a_request_are_ignored(client: Client) -> None:
    assert (await client.ask(b"\r\n\r\n" + get("/hello"))).body == b"hello"
    assert (await client.ask(b"\r\n" + get("/hello"))).body == b"hello"


# --- bodies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chunks", "body"),
    [
        (b"0\r\n\r\n", b""),
        (b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"A;name=value\r\n0123456789\r\n00001\r\n!\r\n0;last\r\n\r\n", b"0123456789!"),
        (b"1\r\na\r\n" * 5000 + b"0\r\n\r\n", b"a" * 5000),
        (b"3\r\nabc\r\n0\r\nX-Sum: 1\r\nAuthorization: me\r\nHost: other\r\n\r\n", b"abc"),
        (b"8\r\nGET / HT\r\n0\r\n\r\n", b"GET / HT"),
    ],
)
async def test_chunked_bodies(client: Client, chunks: bytes, body: bytes) -> None:
    await client.send(b"POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: Chunked \r\n\r\n" + chunks + get("/hello"))
    assert (await client.answer()).body == body
    assert (await client.answer()).body == b"hello"


async def test_bodies_that_come_slowly(client: Client) -> None:
    await client.send(b"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 6\r\n\r\n", b"ab", b"cd", b"ef")
    assert (await client.answer()).body == b"abcdef"


async def test_bodies_nobody_reads_are_passed_over(client: Client) -> None:
    await client.send(request("GET", "/hello", b"GET /number/1 HTTP/1.1\r\nHost: t\r\n\r\n") + get("/number/2"))
    assert (await client.answer()).body == b"hello"
    assert (await client.answer()).body == b"2"


# --- Expect -----------------------------------------------------------------------------------------------------------


async def test_a_client_that_waits_is_asked_for_the_body(client: Client) -> None:
    await client.send(b"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\nExpect: 100-Continue\r\n\r\n")
    assert (await client.interim_or_answer()).status == 100
    await client.send(b"body")
    answer = await client.interim_or_answer()
    assert (answer.status, answer.body) == (200, b"body")


async def test_a_client_that_does_not_wait_is_not_asked(client: Client) -> None:
    await client.send(post("/echo", b"body", "Expect: 100-continue") + get("/hello"))
    assert (await client.interim_or_answer()).body == b"body"
    assert (await client.interim_or_answer()).body == b"hello"


async def test_a_pipelined_client_is_asked_when_its_turn_comes(echo: Served, client: Client) -> None:
    head = b"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
    await client.send(get("/hold") + get("/hello") + head)
    await echo.assembly.app.entered.wait()
    echo.assembly.app.let_go.set()
    assert (await client.interim_or_answer()).body == b"let go"
    assert (await client.interim_or_answer()).body == b"hello"
    assert (await client.interim_or_answer()).status == 100
    assert (await client.ask(b"body")).body == b"body"


async def test_a_body_that_will_be_refused_is_not_asked_for(client: Client) -> None:
    await client.send(b"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 20000000\r\nExpect: 100-continue\r\n\r\n")
    answer = await client.interim_or_answer()
    assert (answer.status, answer.closes) == (413, True)


async def test_other_expectations_are_not_met(client: Client) -> None:
    answer = await client.ask(get("/hello", "Expect: a-miracle"))
    assert (answer.status, answer.closes) == (417, True)
    assert "'a-miracle'" in answer.json["detail"]


async def test_http_1_0_knows_no_interim_answers(client: Client) -> None:
    await client.send(b"POST /echo HTTP/1.0\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n", b"body")
    assert (await client.interim_or_answer()).body == b"body"


# --- offers to upgrade ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["h2c", "websocket", "TLS/1.0"])
async def test_offers_to_upgrade_are_declined_by_answering(client: Client, protocol: str) -> None:
    offer = ("Connection: Upgrade, HTTP2-Settings", f"Upgrade: {protocol}", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
    await client.send(get("/hello", *offer) * 3 + get("/number/1"))
    assert [(await client.answer()).body for _ in range(4)] == [b"hello"] * 3 + [b"1"]


async def test_a_body_after_an_offer_to_upgrade_is_still_a_body(client: Client) -> None:
    inner = get("/number/666")
    offer = ("Connection: Upgrade", "Upgrade: h2c")
    coded = b"%x\r\n%b\r\n0\r\n\r\n" % (len(inner), inner)
    await client.send(
        post("/echo", inner, *offer)
        + request("POST", "/echo", b"", "Transfer-Encoding: chunked", *offer)
        + coded
        + get("/number/1")
    )
    assert [(await client.answer()).body for _ in range(3)] == [inner, inner, b"1"]


async def test_tunnels_are_refused(client: Client) -> None:
    answer = await client.ask(b"CONNECT inside:22 HTTP/1.1\r\nHost: inside:22\r\n\r\nSSH-2.0")
    assert (answer.status, answer.closes) == (501, True)
    assert await client.rest() == b""

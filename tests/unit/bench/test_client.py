from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import pytest

from kapelle.bench.client import HttpClient, Request

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


class Server:
    """Answers each request that has come whole, and writes down what came."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.received = b""
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while data := await reader.read(1 << 20):
            self.received += data
            if data.endswith((b"\r\n\r\n", b"body")):
                writer.write(self.answer)
            if not self.answer:
                break
        writer.close()


@asynccontextmanager
async def serving(answer: bytes) -> AsyncIterator[tuple[Server, HttpClient]]:
    server = Server(answer)
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        with closing(HttpClient("127.0.0.1", listening.sockets[0].getsockname()[1])) as client:
            yield server, client


async def test_sends_a_request_and_reads_the_answer() -> None:
    async with serving(OK) as (server, client):
        answer = await client.send(Request("POST", "/a", b"a body", "text/plain"))
    assert (answer.status, answer.body) == (200, b"hello")
    assert server.received == (
        b"POST /a HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: 6\r\n\r\na body"
    )


async def test_a_request_without_a_body_says_nothing_of_one() -> None:
    assert Request("GET", "/a").head == b"GET /a HTTP/1.1\r\nhost: localhost\r\n\r\n"


async def test_keeps_its_connection() -> None:
    async with serving(OK) as (server, client):
        for _ in range(3):
            await client.send(Request("GET", "/"))
        assert server.connections == 1
        await asyncio.gather(*(client.send(Request("GET", "/")) for _ in range(2)))
        assert server.connections == 2


@pytest.mark.parametrize(("answer", "said"), [(b"", "ended the connection"), (b"pigeons\r\n", "does not speak HTTP")])
async def test_a_server_that_does_not_answer_is_an_error(answer: bytes, said: str) -> None:
    async with serving(answer) as (_, client):
        with pytest.raises(OSError, match=said):
            await client.send(Request("GET", "/"))


async def test_nobody_there_is_an_error() -> None:
    async with serving(OK) as (_, client):
        pass
    with pytest.raises(OSError, match="refused"):
        await client.send(Request("GET", "/"))

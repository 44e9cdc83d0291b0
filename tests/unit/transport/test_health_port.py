"""A process's own health and metrics over HTTP, and what comes to that port from elsewhere."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from kapelle.observe.metrics import Family, Registry
from kapelle.transport import health_port
from kapelle.transport.health_port import MAX_CONNECTIONS, MAX_HEAD, serve_health
from kapelle.transport.sockets import Address, bind

GET = b"GET %b HTTP/1.1\r\nhost: x\r\n\r\n"


@dataclass
class Process:
    """What is told of, and the port at which it is."""

    port: int = 0
    livez: str = ""
    readyz: str = ""
    registry: Registry = field(default_factory=Registry)
    fails: bool = False
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    def collect(self) -> list[Family]:
        if self.fails:
            raise RuntimeError("a gauge that cannot be read")
        return self.registry.collect()

    async def open(self, data: bytes) -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        writer.write(data)
        return reader

    async def ask(self, data: bytes) -> tuple[bytes, bytes]:
        """Head and body of the answer; empty where the connection only ends."""
        reader = await self.open(data)
        try:
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        except ConnectionResetError:
            return b"", b""
        return head, body

    async def status(self, data: bytes) -> int:
        head, _ = await self.ask(data)
        return int(head.split()[1])


@pytest.fixture
async def process() -> AsyncIterator[Process]:
    process = Process()
    bound = bind(Address("tcp", "127.0.0.1"))
    process.port = bound.getsockname()[1]
    server = await serve_health(bound, lambda: process.livez, lambda: process.readyz, process.collect)
    yield process
    for writer in process.writers:
        writer.close()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("page", [b"/livez", b"/readyz", b"/readyz?verbose=1"])
async def test_who_is_well_says_so(process: Process, page: bytes) -> None:
    head, body = await process.ask(GET % page)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"content-type: text/plain; charset=utf-8" in head
    assert b"connection: close" in head
    assert body == b"ok\n"


async def test_who_is_not_says_why(process: Process) -> None:
    process.readyz = "r7 is being loaded, Größe 3 GB"
    head, body = await process.ask(GET % b"/readyz")
    assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert body.decode() == "r7 is being loaded, Größe 3 GB\n"
    assert await process.status(GET % b"/livez") == 200
    process.livez = "user code blocks"
    assert await process.status(GET % b"/livez") == 503


async def test_metrics_are_those_of_the_process(process: Process) -> None:
    process.registry.counter("kapelle_things_total", "Things.").inc(3)
    head, body = await process.ask(GET % b"/metrics")
    assert b"content-type: text/plain; version=0.0.4; charset=utf-8" in head
    assert b"kapelle_things_total 3.0\n" in body


async def test_head_is_the_same_without_a_body(process: Process) -> None:
    get, body = await process.ask(GET % b"/metrics")
    head, nothing = await process.ask(b"HEAD /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
    assert head == get
    assert b"content-length: %d" % len(body) in head
    assert nothing == b""


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (GET % b"/", 404),
        (GET % b"/livez/", 404),
        (GET % b"http://x/livez", 200),
        (b"POST /livez HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc", 405),
        (b"DELETE /metrics HTTP/1.1\r\nhost: x\r\n\r\n", 405),
        (b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n", 404),
        (b"CONNECT x:80 HTTP/1.1\r\nhost: x\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", 200),
        (b"GET /livez HTTP/1.0\r\n\r\n", 200),
        (b"hello\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nhost : x\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nx: " + b"y" * MAX_HEAD + b"\r\n\r\n", 431),
        (b"GET /" + b"y" * MAX_HEAD, 431),
    ],
)
async def test_whatever_is_asked_gets_one_clear_answer(process: Process, request_bytes: bytes, status: int) -> None:
    assert await process.status(request_bytes) == status
    assert await process.status(GET % b"/livez") == 200


async def test_a_request_may_come_byte_by_byte_and_what_follows_it_is_ignored(process: Process) -> None:
    reader = await process.open(b"")
    for byte in GET % b"/livez":
        process.writers[-1].write(bytes([byte]))
        await process.writers[-1].drain()
    process.writers[-1].write((GET % b"/livez") * 5)
    assert (await reader.read()).count(b"HTTP/1.1") == 1


async def test_what_cannot_be_read_is_an_answer_too(process: Process) -> None:
    process.fails = True
    with capture_logs() as lines:
        assert await process.status(GET % b"/metrics") == 500
    assert [(line["event"], line["target"]) for line in lines] == [("health could not be told", "/metrics")]
    assert await process.status(GET % b"/livez") == 200


async def test_who_asks_nothing_is_cut_off_in_time(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_port, "TIMEOUT", 0.05)
    assert await process.ask(b"GET /livez HT") == (b"", b"")
    assert await process.status(GET % b"/livez") == 200


async def test_connections_have_a_limit_and_their_places_are_given_back(process: Process) -> None:
    waiting = [await process.open(b"GET /livez") for _ in range(MAX_CONNECTIONS)]
    head, body = await process.ask(b"")
    assert head.startswith(b"HTTP/1.1 503")
    assert body == b"too many connections\n"
    for writer in process.writers[:MAX_CONNECTIONS]:
        writer.write(b" HTTP/1.1\r\nhost: x\r\n\r\n")
    for reader in waiting:
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
    for writer in process.writers:
        writer.close()
        await writer.wait_closed()
    assert await process.status(GET % b"/livez") == 200


async def test_who_is_gone_before_the_answer_is_no_trouble(process: Process) -> None:
    with socket.create_connection(("127.0.0.1", process.port)) as rude:
        rude.sendall(GET % b"/metrics")
        rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    assert await process.status(GET % b"/livez") == 200

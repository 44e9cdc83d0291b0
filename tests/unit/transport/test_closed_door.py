"""A door behind which nobody is: clients are told after a while, and let in again when somebody comes."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from kapelle.transport import closed_door
from kapelle.transport.closed_door import ClosedDoor
from kapelle.transport.door import open_door


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    monkeypatch.setattr(closed_door, "_PATIENCE", 0.0)
    with open_door("127.0.0.1", 0) as found:
        yield found


async def asked(door: socket.socket, text: bytes = b"GET / HTTP/1.1\r\n\r\n") -> bytes:
    reader, writer = await asyncio.open_connection(*door.getsockname())
    writer.write(text)
    answer = await reader.read()
    writer.close()
    return answer


async def test_clients_are_told_in_the_form_of_all_errors(door: socket.socket) -> None:
    one = ClosedDoor(door)
    with capture_logs() as logs:
        one.closed()
        one.closed()  # said twice is said once
        head, _, body = (await asked(door)).partition(b"\r\n\r\n")
    one.opened()
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 5" in head
    assert json.loads(body)["status"] == 503
    assert len(logs) == 1


async def test_a_client_of_tls_is_only_hung_up_on(door: socket.socket) -> None:
    one = ClosedDoor(door)
    one.closed()
    assert await asked(door, b"\x16\x03\x01") == b""
    one.opened()


async def test_who_comes_back_takes_the_clients_that_wait(door: socket.socket) -> None:
    one = ClosedDoor(door)
    one.closed()
    one.opened()  # before anybody was told
    waiting = asyncio.create_task(asked(door))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"here I am")
        writer.close()

    async with await asyncio.start_server(answer, sock=door.dup()):
        assert await waiting == b"here I am"


async def test_it_closes_again_and_again(door: socket.socket) -> None:
    one = ClosedDoor(door)
    for _ in range(3):
        one.closed()
        assert (await asked(door)).startswith(b"HTTP/1.1 503 ")
        one.opened()

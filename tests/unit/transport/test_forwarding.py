"""Connections that are passed on, over real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kapelle.transport import sockets
from kapelle.transport.forwarding import Forwarding
from kapelle.transport.sockets import Address


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    """A port that passes on to ``*.echo`` in the test's folder."""
    bound = sockets.bind(Address("tcp", "127.0.0.1"))
    forwarding = Forwarding(bound, tmp_path, ".echo")
    await forwarding.open()
    yield bound.getsockname()[1]
    await forwarding.close()


async def echo_at(path: Path, word: bytes) -> asyncio.Server:
    """Says its word, then what it hears, until it has heard all."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(word)
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    return await asyncio.start_unix_server(answer, path)


async def said(port: int, text: bytes = b"") -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def say() -> None:
        writer.write(text)
        await writer.drain()
        writer.write_eof()

    _, heard = await asyncio.gather(say(), reader.read())
    writer.close()
    return heard


async def test_passes_on_both_ways_more_than_fits_into_any_buffer(port: int, tmp_path: Path) -> None:
    async with await echo_at(tmp_path / "a.echo", b"hello "):
        text = bytes(range(256)) * (32 << 10)
        assert await said(port, text) == b"hello " + text


async def test_takes_turns(port: int, tmp_path: Path) -> None:
    async with await echo_at(tmp_path / "a.echo", b"a"), await echo_at(tmp_path / "b.echo", b"b"):
        assert sorted([await said(port) for _ in range(4)]) == [b"a", b"a", b"b", b"b"]


async def test_passes_over_those_who_are_gone(port: int, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "a.echo"))  # nobody listens any more
    async with await echo_at(tmp_path / "b.echo", b"b"):
        assert [await said(port) for _ in range(3)] == [b"b"] * 3


async def test_closes_where_nobody_is(port: int) -> None:
    assert await said(port) == b""


async def test_one_that_breaks_breaks_the_other(port: int, tmp_path: Path) -> None:
    broken = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()
        broken.set()

    async with await asyncio.start_unix_server(answer, tmp_path / "a.echo"):
        assert await said(port) == b""
        await broken.wait()

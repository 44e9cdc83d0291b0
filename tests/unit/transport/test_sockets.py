"""Addresses, listening sockets, and peers that vanish."""

from __future__ import annotations

import asyncio
import socket
import stat
import sys
from pathlib import Path

import pytest

from kapelle.errors import ConfigError
from kapelle.transport import sockets
from kapelle.transport.connection import Connection
from kapelle.transport.sockets import Address
from tests.unit.transport.ends import End

CALLER = """
import asyncio, sys
from kapelle.transport.sockets import Address, connect

async def main():
    connection = await connect(Address.parse(sys.argv[1]))
    connection.start(lambda frames: None, lambda reason: None)
    connection.send(b"small")
    connection.send(b"large", [bytes(1 << 20)])
    await asyncio.Future()

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:run/encoder.sock", Address("unix", "run/encoder.sock")),
        ("unix:a:b", Address("unix", "a:b")),
        ("tcp:127.0.0.1:8080", Address("tcp", "127.0.0.1", 8080)),
        ("tcp:host.example:0", Address("tcp", "host.example", 0)),
        ("tcp:[::1]:65535", Address("tcp", "::1", 65535)),
    ],
)
def test_addresses_are_read_and_written(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text", ["", "unix:", "tcp:", "tcp:host", "tcp::80", "tcp:host:", "tcp:host:65536", "udp:h:1", "tcp:h:²"]
)
def test_what_is_no_address_is_refused_with_both_forms(text: str) -> None:
    with pytest.raises(ConfigError, match=r"is not an address; expected 'unix:/path' or 'tcp:host:port'"):
        Address.parse(text)


def test_a_stale_path_is_taken_over(tmp_path: Path) -> None:
    address = Address("unix", str(tmp_path / "s"))
    sockets.bind(address).close()
    assert stat.S_ISSOCK((tmp_path / "s").stat().st_mode)
    sockets.bind(address).close()


def test_an_address_that_is_taken_is_an_error_and_leaks_nothing(tmp_path: Path) -> None:
    with sockets.bind(Address("tcp", "127.0.0.1")) as taken, pytest.raises(OSError, match="in use"):
        sockets.bind(Address("tcp", "127.0.0.1", taken.getsockname()[1]))
    with pytest.raises(OSError, match="too long"):
        sockets.bind(Address("unix", str(tmp_path / ("x" * 108))))


@pytest.mark.parametrize("kind", ["unix", "tcp"])
async def test_nobody_listens(kind: str, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        address = Address("unix", str(tmp_path / "s")) if kind == "unix" else Address("tcp", "127.0.0.1", port)
        with pytest.raises(OSError, match=r"No such file|refused"):
            await sockets.connect(address)


async def test_no_frame_waits_for_the_answer_to_the_one_before() -> None:
    """Nagle's algorithm is off on both sides of a TCP connection."""
    made: asyncio.Queue[socket.socket] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    class Probe(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.put_nowait(transport.get_extra_info("socket"))

    server = await loop.create_server(Probe, sock=sockets.bind(Address("tcp", "127.0.0.1")))
    transport, _ = await loop.create_connection(Probe, *server.sockets[0].getsockname())
    for _ in range(2):
        assert (await made.get()).getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    transport.abort()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("kind", ["unix", "tcp"])
async def test_a_peer_that_is_killed_is_noticed_at_once(kind: str, tmp_path: Path) -> None:
    accepted: asyncio.Queue[Connection] = asyncio.Queue()
    bound = sockets.bind(Address("unix", str(tmp_path / "s")) if kind == "unix" else Address("tcp", "127.0.0.1"))
    address = f"unix:{tmp_path}/s" if kind == "unix" else f"tcp:127.0.0.1:{bound.getsockname()[1]}"
    server = await sockets.serve(bound, accepted.put_nowait)
    peer = await asyncio.create_subprocess_exec(sys.executable, "-c", CALLER, address)
    there = End(await accepted.get()).start()
    await there.received(2)
    there.connection.send(b"never read", [bytes(64 << 20)])
    peer.kill()
    await there.ended()
    assert len(there.lost) == 1
    await peer.wait()
    server.close()
    await server.wait_closed()

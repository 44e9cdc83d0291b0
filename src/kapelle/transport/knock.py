"""Saying where one is by calling: for a process whose address DNS does not have yet, as engines keep it back until ready.

The address of who calls is all that is heard, and all it leads to is that somebody calls back there and asks for proof.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

_TIMEOUT = 2.0


async def knock(host: str, port: int) -> None:
    """Call whoever is there; nobody, or nobody in time, is no error: one knocks again."""
    with suppress(OSError):
        async with asyncio.timeout(_TIMEOUT):
            # Looked up here: a look-up inside of a dial that is cancelled would complain of its failure later.
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
            _, writer = await asyncio.open_connection(*found[0][4][:2])
            writer.close()
            await writer.wait_closed()


async def hear_knocks(bound: socket.socket, heard: Callable[[str], None]) -> asyncio.Server:
    """Hear the addresses of those who knock at a listening socket."""
    return await asyncio.get_running_loop().create_server(lambda: _Ear(heard), sock=bound)


class _Ear(asyncio.Protocol):
    """One knock."""

    def __init__(self, heard: Callable[[str], None]) -> None:
        self._heard = heard

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        transport.close()
        if peer:
            self._heard(str(peer[0]))

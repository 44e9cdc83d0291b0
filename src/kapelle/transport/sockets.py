"""Unix and TCP sockets by address: ``unix:/path`` or ``tcp:host:port``."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from kapelle.errors import ConfigError
from kapelle.transport.complaints import Complaints
from kapelle.transport.connection import Accept, Connection
from kapelle.transport.credentials import Credentials
from kapelle.transport.lane import Lane
from kapelle.transport.reception import Reception, call
from kapelle.transport.stream import LanePairing, dial, dial_proven

_BACKLOG = 1024
MAX_UNIX_PATH = 100
"""Unix socket paths are limited to 108 bytes on Linux and 104 on macOS."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a process listens."""

    kind: Literal["unix", "tcp"]
    host: str
    port: int = 0

    @staticmethod
    def parse(text: str) -> Address:
        """Read ``unix:/path`` or ``tcp:host:port``; an IPv6 host stands in brackets.

        Raises:
            ConfigError: it is neither.
        """
        kind, _, rest = text.partition(":")
        if kind == "unix" and rest:
            return Address("unix", rest)
        host, _, port = rest.rpartition(":")
        if kind == "tcp" and host and port.isdecimal() and int(port) < 65536:
            return Address("tcp", host.removeprefix("[").removesuffix("]"), int(port))
        raise ConfigError(f"{text!r} is not an address; expected 'unix:/path' or 'tcp:host:port'")

    def __str__(self) -> str:
        if self.kind == "unix":
            return f"unix:{self.host}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp:{host}:{self.port}"


def bind(address: Address) -> socket.socket:
    """A listening socket, to be served here or handed to a child; a stale Unix path is taken over.

    Raises:
        OSError: the address cannot be had.
    """
    inet = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    bound = socket.socket(socket.AF_UNIX if address.kind == "unix" else inet, socket.SOCK_STREAM)
    try:
        if address.kind == "unix":
            Path(address.host).unlink(missing_ok=True)
            bound.bind(address.host)
        else:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((address.host, address.port))
        bound.listen(_BACKLOG)
    except OSError:
        bound.close()
        raise
    bound.setblocking(False)
    return bound


async def serve(
    bound: socket.socket,
    accept: Accept,
    credentials: Credentials | None = None,
    complaints: Complaints | None = None,
) -> asyncio.Server:
    """Accept connections on a listening socket. Over TCP with ``credentials``, of those alone who have them too.

    ``complaints`` are told of all others; several listeners of a process may share them.
    """
    loop = asyncio.get_running_loop()
    complaints = complaints or Complaints(loop.time)
    pairing = LanePairing(accept, complaints.about)
    if bound.family == socket.AF_UNIX:
        # Who may open the path is one of ours: the file system has asked already.
        return await loop.create_unix_server(pairing.new_lane, sock=bound)
    if not credentials:
        return await loop.create_server(pairing.new_lane, sock=bound)
    return await loop.create_server(Reception(credentials, pairing, complaints).arrival, sock=bound)


async def connect(address: Address, credentials: Credentials | None = None) -> Connection:
    """Dial a process. Over TCP with ``credentials``, both sides show them before anything is said.

    Without any, a side that demands some says so when it ends the connection.

    Raises:
        OSError: nobody listens there, or one side does not trust the other.
    """
    loop = asyncio.get_running_loop()
    if credentials and address.kind == "tcp":
        return await dial_proven(partial(call, address.host, address.port, credentials))

    async def open_lane() -> Lane:
        if address.kind == "unix":
            _, lane = await loop.create_unix_connection(Lane, address.host)
        else:
            # The event loop switches Nagle's algorithm off: no frame waits for the answer to the one before.
            _, lane = await loop.create_connection(Lane, address.host, address.port)
        return lane

    return await dial(open_lane)

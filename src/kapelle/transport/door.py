"""The door: the one listening TCP socket that all gateways share, and how a new controller gets hold of it.

The controller opens it and hands it to each gateway. Connections that wait in its queue survive any single gateway. When the
controller is gone, its successor asks a gateway for the socket itself, over a Unix socket in the run folder.
"""

from __future__ import annotations

import array
import asyncio
import socket
from pathlib import Path

BACKLOG = 2048
_TIMEOUT = 2.0


def open_door(host: str, port: int) -> socket.socket:
    """A listening TCP socket.

    Raises:
        OSError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    door = socket.socket(family, socket.SOCK_STREAM)
    try:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind((host, port))
        door.listen(BACKLOG)
    except OSError:
        door.close()
        raise
    door.setblocking(False)
    return door


async def lend_door(path: str, door: socket.socket) -> asyncio.Server:
    """Give the door to whoever connects to ``path``; the run folder's mode says who may."""
    Path(path).unlink(missing_ok=True)

    async def lend(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        channel = writer.get_extra_info("socket")
        handles = array.array("i", [door.fileno()])
        channel.sendmsg([b"door"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, handles)])
        writer.close()

    return await asyncio.start_unix_server(lend, path)


def obtain_door(path: str) -> socket.socket | None:
    """The door from a running gateway; None when it does not give it."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.settimeout(_TIMEOUT)
            channel.connect(path)
            _, handles, _, _ = socket.recv_fds(channel, 16, 1)
    except OSError:
        return None
    if not handles:
        return None
    door = socket.socket(fileno=handles[0])
    door.setblocking(False)
    return door

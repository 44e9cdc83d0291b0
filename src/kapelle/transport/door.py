"""The door: the one listening TCP socket that all gateways share, and how a new controller gets hold of it.

The controller opens it and hands it to each gateway. Connections that wait in its queue survive any single gateway. When the
controller is gone, its successor asks a gateway for the socket itself, over a Unix socket in the run folder.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

BACKLOG = 2048
_TRIES = 100
LAST_PORT = 65535


def open_door(host: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 is any free one, with a free one after it.

    Raises:
        OSError: the address cannot be had.
    """
    for _ in range(_TRIES if port == 0 else 0):
        door = _listen(host, 0)
        try:
            claim(host, door.getsockname()[1] + 1).close()
        except OSError:
            door.close()
        else:
            return door
    return _listen(host, port)


def claim(host: str, port: int, *, alone: bool = False) -> socket.socket:
    """Keep a port from all who take any free one. Nobody listens here; who does says that the port is shared.

    With ``alone``, nobody may have it who shares it, either.

    Raises:
        OSError: the port is taken, or there is none of this number.
    """
    if port > LAST_PORT:
        raise OSError(errno.EADDRNOTAVAIL, f"there is no port {port}")
    family, kind, protocol, _, address = _found(host, port)[0]
    found = socket.socket(family, kind, protocol)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR if alone else socket.SO_REUSEPORT, 1)
        found.bind(address)
    except OSError:
        found.close()
        raise
    return found


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = _found(host, port)[0]
    door = socket.socket(family, kind, protocol)
    try:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(address)
        door.listen(BACKLOG)
    except OSError:
        door.close()
        raise
    door.setblocking(False)
    return door


def _found(host: str, port: int) -> Sequence[tuple[int, int, int, str, Any]]:
    """What is known of an address: family, kind, protocol, name and what to bind to."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:
        # A name of which DNS could not even be asked: a part of it is empty or too long.
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None


def is_door_to(door: socket.socket, host: str, port: int) -> bool:
    """Whether the door is at this address; port 0 is any."""
    found_host, found_port, *_ = door.getsockname()
    wanted = {address[0] for *_, address in _found(host, port)}
    return found_host in wanted and port in (0, found_port)


class Lender:
    """Gives the door to whoever connects to ``path``; the run folder's mode says who may."""

    def __init__(self, path: Path, door: socket.socket) -> None:
        self._door = door
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path.unlink(missing_ok=True)
        self._listener.bind(str(path))
        self._listener.listen()
        self._listener.setblocking(False)
        asyncio.get_running_loop().add_reader(self._listener, self._lend)

    def _lend(self) -> None:
        # Whoever asked may be gone again; and what fits into an empty socket is sent at once.
        with suppress(OSError):
            channel, _ = self._listener.accept()
            with channel:
                channel.setblocking(False)
                socket.send_fds(channel, [b"door"], [self._door.fileno()])

    def close(self) -> None:
        """Lend no more. May be called again."""
        if self._listener.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()


async def borrow_door(path: Path, timeout: float) -> socket.socket | None:  # noqa: ASYNC109 - handed to a thread, which has no other bound
    """The door from a running gateway; None when it does not give it within ``timeout`` seconds."""
    return await asyncio.to_thread(_borrow, path, timeout)


def _borrow(path: Path, timeout: float) -> socket.socket | None:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.settimeout(timeout)
            channel.connect(str(path))
            _, handles, _, _ = socket.recv_fds(channel, 16, 1)
    except OSError:
        return None
    if not handles:
        return None
    door = socket.socket(fileno=handles[0])
    door.set_inheritable(False)
    door.setblocking(False)
    return door

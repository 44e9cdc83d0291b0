"""What a connection knows of its client: who that is, and whether it has still to receive something."""

from __future__ import annotations

import asyncio
import fcntl
import termios
from collections.abc import Callable
from typing import Any


def is_under_way(transport: asyncio.Transport | None) -> bool:
    """Whether a client that speaks TLS has still to receive what was written.

    The size of the transport's buffer does not tell: it leaves out what is encrypted already.
    """
    sock = None if transport is None or transport.can_write_eof() else transport.get_extra_info("socket")
    try:
        return sock is not None and any(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))
    except OSError:
        # Not every system tells: better too patient than an answer cut short.
        return True


def origin_of(transport: asyncio.Transport | None) -> dict[str, Any]:
    """What an ASGI scope says of a connection: scheme, client, server, root_path."""
    about: Callable[[str], Any] = _nothing if transport is None else transport.get_extra_info
    client, server = about("peername"), about("sockname")
    return {
        "scheme": "https" if about("sslcontext") else "http",
        "client": client[:2] if isinstance(client, tuple) else None,
        "server": server[:2] if isinstance(server, tuple) else None,
        "root_path": "",
    }


def _nothing(_: str) -> None:
    """What is known of a connection that is gone."""

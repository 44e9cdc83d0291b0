"""A door behind which nobody is: clients are told so, instead of waiting for a gateway that may never come."""

from __future__ import annotations

import asyncio
import socket
from typing import cast

import structlog

log = structlog.get_logger()

_PATIENCE = 10.0
"""Seconds for a gateway to come, as one does that starts again; who comes meanwhile waits in the door's queue."""
_TLS = 0x16
"""What the first byte of a client is that speaks TLS, and would not understand the answer."""
_BODY = (
    b'{"type":"urn:kapelle:error:unavailable","title":"Service Unavailable","status":503,'
    b'"detail":"no gateway serves on this machine; ask another one"}'
)
_ANSWER = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 5\r\n"
    b"connection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)


class ClosedDoor:
    """Answers at ``door`` while that is ``closed``, and has been for a while."""

    def __init__(self, door: socket.socket) -> None:
        self._door = door
        self._timer: asyncio.TimerHandle | None = None
        self._opening: asyncio.Task[None] | None = None
        self._server: asyncio.Server | None = None

    def closed(self) -> None:
        """Nobody is behind the door."""
        if self._timer is None and self._opening is None:
            self._timer = asyncio.get_running_loop().call_later(_PATIENCE, self._answer)

    def opened(self) -> None:
        """Somebody is, and lets clients in."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        if self._server is not None:
            self._server.close()
            self._server = None

    def _answer(self) -> None:
        self._timer = None
        self._opening = asyncio.get_running_loop().create_task(self._open())

    async def _open(self) -> None:
        log.warning("no gateway lets clients in at the door; they are told so")
        door = self._door.dup()
        try:
            self._server = await asyncio.get_running_loop().create_server(_Refusal, sock=door)
        except BaseException:  # a cancellation too: somebody came just now
            door.close()
            raise


class _Refusal(asyncio.Protocol):
    """One client, who is told to go elsewhere."""

    _transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if data[0] != _TLS:
            self._transport.write(_ANSWER)
        self._transport.close()

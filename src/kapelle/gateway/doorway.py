"""The doorway: open while the gateway takes requests, shut while gateways of other code take them."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

from kapelle.config.settings import Settings
from kapelle.gateway.entrance import let_in
from kapelle.gateway.front import Gateway

_SETTLE = 0.2
"""Seconds between the last answers on connections that are kept and the end of those, for requests on their way."""


class Doorway:
    """Lets clients in at ``door``, which others may let them in at, too."""

    def __init__(
        self, door: socket.socket, gateway: Gateway, settings: Settings, tls: ssl.SSLContext | None, *, resting: bool
    ) -> None:
        self.on_shut: Callable[[], None] = lambda: None
        """Called when nobody can come in any more."""
        self._door = door
        self._gateway = gateway
        self._settings = settings
        self._tls = tls
        self._resting = resting
        self._server: asyncio.Server | None = None
        self._turning: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Let clients in, unless it is resting."""
        if self._server is None and not self._resting:
            # The end of a server is that of its socket; this one is opened again.
            self._server = await let_in(self._door.dup(), self._gateway.connection, self._settings, self._tls)

    def rest(self, resting: bool) -> None:
        """Let no more clients in, and let those go that are there, when they have their answers; or do so again."""
        self._resting = resting
        if self._turning is None or self._turning.done():
            self._turning = asyncio.create_task(self._turn())

    async def _turn(self) -> None:
        while self._resting == (self._server is not None):
            self._gateway.draining = self._resting
            if not self._resting:
                await self.open()
                continue
            await asyncio.sleep(_SETTLE)
            if self._resting:
                self._shut()
                self._gateway.hang_up()
        self._gateway.draining = self._resting
        if self._resting:
            self.on_shut()

    async def close(self) -> None:
        """Let nobody in any more; those who come wait for the other gateways."""
        self._gateway.draining = True
        if self._turning is not None:
            self._turning.cancel()
        await asyncio.sleep(_SETTLE)
        self._shut()
        self._door.close()

    def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

"""The doorway: open while the gateway takes requests, shut while gateways of other code take them."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

from kapelle.config.settings import Settings
from kapelle.gateway.entrance import let_in
from kapelle.gateway.front import Gateway
from kapelle.gateway.side_door import SideDoor
from kapelle.tasks import Tasks
from kapelle.transport.heirs import Heir, heirs_in, leave_to

_SETTLE = 0.2
"""Seconds in which connections in use get their last answers; those that rest after it are left to others."""


class Doorway:
    """Lets clients in at ``door``, which others may let them in at, too; ``address`` is where this gateway lends it.

    While it is open, others leave connections to it there; when it is shut, its own are left to those.
    """

    def __init__(
        self,
        door: socket.socket,
        address: Path,
        gateway: Gateway,
        settings: Settings,
        tls: ssl.SSLContext | None,
        side: SideDoor | None,
        *,
        resting: bool,
    ) -> None:
        self.on_shut: Callable[[], None] = lambda: None
        """Called when nobody can come in any more."""
        self._door = door
        self._address = address
        self._gateway = gateway
        self._settings = settings
        self._tls = tls
        self._side = side
        self._resting = resting
        self._closing = False
        self._server: asyncio.Server | None = None
        self._heir: Heir | None = None
        self._turning: asyncio.Task[None] | None = None
        self._inheriting = Tasks()

    async def open(self) -> None:
        """Let clients in, unless it is resting."""
        if self._server is None and not self._resting:
            # The end of a server is that of its socket; this one is opened again.
            self._server = await let_in(self._door.dup(), self._gateway.connection, self._settings, self._tls)
            if self._tls is None and self._heir is None:
                self._heir = Heir(self._address, self._inherit)
            if self._side is not None:
                await self._side.open()

    async def move(self, door: socket.socket) -> None:
        """Let clients in at another door from now on; the one before is gone."""
        if self._closing:
            door.close()
            return
        self._door.close()
        self._door = door
        before = self._server
        if before is not None:
            before.close()
            server = await let_in(door.dup(), self._gateway.connection, self._settings, self._tls)
            if self._server is before:
                self._server = server
            else:
                server.close()  # it was shut meanwhile

    def rest(self, resting: bool) -> None:
        """Let no more clients in, and let those go that are there, when they have their answers; or do so again."""
        if self._closing:
            return
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
                await self._shut()
        self._gateway.draining = self._resting
        if self._resting and not self._closing:
            self.on_shut()

    async def close(self) -> None:
        """Let nobody in any more; those who come wait for the other gateways."""
        self.rest(True)
        self._closing = True
        assert self._turning is not None, "it turns"
        await self._turning
        self._door.close()  # of one that rested, and had nothing to shut

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
            if self._side is not None:
                self._side.shut()
        if self._closing:
            # At once: the longer the last door stays, the more come to it who are not let in any more.
            self._door.close()
        if self._heir is not None:
            self._heir.close()
            self._heir = None
            await self._inheriting.ended()
            await self._leave()
        self._gateway.hang_up()

    async def _leave(self) -> None:
        heirs = heirs_in(self._address.parent)
        if heirs:
            left = await leave_to(heirs, self._gateway.leave())
            await asyncio.gather(*map(self._gateway.inherit, left))

    def _inherit(self, client: socket.socket) -> None:
        self._inheriting.spawn(self._gateway.inherit(client))

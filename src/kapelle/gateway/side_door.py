"""The side door: where clients of gRPC come in, while the gateway's own door is open."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from kapelle.config.settings import Settings
from kapelle.gateway.front import Gateway
from kapelle.gateway.offers import Offers
from kapelle.oip.libraries import grpc_is_installed
from kapelle.transport.shared_door import GRPC

if TYPE_CHECKING:
    import grpc

    from kapelle.gateway.protocols.grpc_service import InferenceService

log = structlog.get_logger()

_LAST_WORDS = 2.0
"""Seconds for answers to leave, once the gateway has given all of them."""


def grpc_port(settings: Settings, port: int) -> int:
    """Where gRPC is served beside HTTP at ``port``; 0 where it is not: it was not asked for, or is not installed."""
    if settings.grpc_port < 0 or not settings.expose_services:
        return 0
    return (settings.grpc_port or port + 1) if grpc_is_installed() else 0


class SideDoor:
    """Opened and shut any number of times. ``door`` is where the gateway lends its own door."""

    def __init__(self, gateway: Gateway, offers: Offers, settings: Settings, port: int, door: Path) -> None:
        self._gateway = gateway
        self._offers = offers
        self._settings = settings
        self._port = port
        self._door = door
        self._service: InferenceService | None = None
        self._server: grpc.aio.Server | None = None
        self._leaving: grpc.aio.Server | None = None
        self._ending: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Let clients in. Where the port is another's, HTTP is served alone, and the log says so."""
        from kapelle.gateway.protocols import grpc_server, grpc_service  # noqa: PLC0415 - it needs what may not be installed

        settings = self._settings
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        # Where the port is another process's, that passes on what comes in.
        address = f"unix:{self._door.with_suffix(GRPC)}" if settings.door else f"{host}:{self._port}"
        tls = None
        if settings.tls_certificate:
            tls = Path(settings.tls_key).read_bytes(), Path(settings.tls_certificate).read_bytes()  # noqa: ASYNC240 - two small local files
        offers = self._offers
        self._service = grpc_service.InferenceService(
            self._gateway, offers.catalogue, offers.regions, offers.grpc_endpoints
        )
        try:
            self._server = await grpc_server.serve(self._service, address, settings.max_body, tls)
        except RuntimeError as error:
            log.warning("gRPC is not served: choose another port (grpc_port)", address=address, reason=str(error))

    def shut(self) -> None:
        """Let nobody in any more; who is in is answered."""
        server, service, self._server, self._service = self._server, self._service, None, None
        if server is not None and service is not None:
            service.end_streams()
            self._leaving = server
            self._ending = asyncio.create_task(server.stop(self._settings.drain_timeout))

    async def close(self) -> None:
        """Shut it, wait for what is on its way out, and cut off whoever is still there."""
        self.shut()
        if self._leaving is not None and self._ending is not None:
            # Who has connected and never asked anything would be waited for until the time for draining is over.
            await asyncio.wait((self._ending,), timeout=_LAST_WORDS)
            await self._leaving.stop(0)
            await self._ending

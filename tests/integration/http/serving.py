"""A gateway with inline services on a real socket, and what a test needs to see of it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from kapelle.config.settings import Settings
from kapelle.declare.apps import app_spec
from kapelle.gateway.assembly import Assembly
from kapelle.gateway.entrance import let_in, tls_context
from kapelle.gateway.fleet import Fleet
from kapelle.gateway.front import Gateway
from kapelle.gateway.protocols.regions import Regions
from kapelle.observe.metrics import Family, Registry
from kapelle.transport.connection import Connection
from kapelle.transport.door import open_door
from tests.integration.http.client import Client
from tests.unit.artifacts.anywhere import Anywhere

PATIENCE = 10.0
"""Seconds any one thing may take here before the test fails."""


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until something holds that no event tells of; fails when it never does."""
    async with asyncio.timeout(PATIENCE):
        # What is waited for is the gateway's own state, which tells nobody.
        while not condition():  # noqa: ASYNC110 - as said above
            await asyncio.sleep(0)


@dataclass
class Served:
    """A running gateway. Every client made here is closed at the end."""

    assembly: Assembly
    server: asyncio.Server
    port: int
    trust: ssl.SSLContext | None = None
    clients: list[Client] = field(default_factory=list)

    @property
    def gateway(self) -> Gateway:
        return self.assembly.gateway

    @property
    def url(self) -> str:
        return f"{'https' if self.trust else 'http'}://127.0.0.1:{self.port}"

    async def connect(self) -> Client:
        """A connection, over TLS where the gateway speaks it."""
        return self.keep(await Client.open(self.port, self.trust))

    async def connect_plain(self) -> Client:
        """A raw connection, for clients that do not speak TLS or speak it badly."""
        return self.keep(await Client.open(self.port))

    def keep(self, client: Client) -> Client:
        """Have a client closed at the end."""
        self.clients.append(client)
        return client

    def http(self) -> httpx.AsyncClient:
        """An ordinary HTTP client."""
        return httpx.AsyncClient(base_url=self.url, timeout=PATIENCE, trust_env=False, verify=self.trust or False)

    def count(self, name: str, **labels: str) -> float:
        """The sum of a metric's series with these labels."""
        samples = [one for family in self.assembly.registry.collect() if family.name == name for one in family.samples]
        return sum(one.value for one in samples if labels.items() <= dict(one.labels).items())

    async def at_rest(self) -> None:
        """Returns when no request is left and all that was counted is given back; fails when that does not happen."""
        await until(lambda: not self.gateway.in_flight and not self.count("kapelle_connections"))
        assert self.gateway.held == 0
        assert self.gateway.admitted == 0


@asynccontextmanager
async def serving(app: type, trust: ssl.SSLContext | None = None, **settings: Any) -> AsyncIterator[Served]:
    """``app``, whose services must all be inline, on a free loopback port; ``trust`` makes its clients speak TLS."""
    spec = app_spec(app)
    assert spec is not None
    registry = Registry()
    assembly = Assembly(
        spec,
        Fleet(spec, "gateway", _no_replicas, registry),
        Settings(**{"access_log": False, **settings}),
        registry,
        _collect,
        Regions(Path("/nowhere")),
    )
    try:
        await assembly.start("r1", Anywhere())
        context = tls_context(assembly.settings)
        door = open_door("127.0.0.1", 0)
        server = await let_in(door, assembly.gateway.connection, assembly.settings, context)
        served = Served(assembly, server, door.getsockname()[1], trust)
        try:
            yield served
            for client in served.clients:
                await client.close()
            await served.at_rest()
        finally:
            server.close()
    finally:
        await assembly.close()


async def _no_replicas(_: str) -> Connection:
    raise OSError("this system has inline services only")


async def _collect() -> list[Family]:
    return []

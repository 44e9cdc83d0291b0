"""A gateway with inline services on a real socket, and what a test needs to see of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from kapelle.config.settings import Settings
from kapelle.declare.apps import app_spec
from kapelle.gateway.assembly import Assembly
from kapelle.gateway.fleet import Fleet
from kapelle.gateway.front import Gateway
from kapelle.observe.metrics import Family, Registry
from kapelle.transport.connection import Connection
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
    clients: list[Client] = field(default_factory=list)

    @property
    def gateway(self) -> Gateway:
        return self.assembly.gateway

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def connect(self) -> Client:
        """A raw connection."""
        client = await Client.open(self.port)
        self.clients.append(client)
        return client

    def http(self) -> httpx.AsyncClient:
        """An ordinary HTTP client."""
        return httpx.AsyncClient(base_url=self.url, timeout=PATIENCE, trust_env=False)

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
async def serving(app: type, **settings: Any) -> AsyncIterator[Served]:
    """``app``, whose services must all be inline, on a free loopback port."""
    spec = app_spec(app)
    assert spec is not None
    registry = Registry()
    assembly = Assembly(
        spec,
        Fleet(spec, "gateway", _no_replicas, registry),
        Settings(**{"access_log": False, **settings}),
        registry,
        _collect,
    )
    try:
        await assembly.start("r1", Anywhere())
        server = await asyncio.get_running_loop().create_server(assembly.gateway.connection, "127.0.0.1", 0)
        served = Served(assembly, server, server.sockets[0].getsockname()[1])
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

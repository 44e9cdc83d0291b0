"""What is different for a replica that an engine has started: it says who it is, and shows its health to the engine."""

from __future__ import annotations

import asyncio
import socket

from kapelle.artifacts.code_version import version_of
from kapelle.clock import wall
from kapelle.config.orders import Network, WorkerOrders
from kapelle.declare.code import code_of
from kapelle.declare.loading import Target
from kapelle.observe.metrics import Registry
from kapelle.transport.credentials import Credentials, credentials_of
from kapelle.transport.health_port import serve_health
from kapelle.wire.messages import About
from kapelle.worker.server import Worker


class AtHome:
    """A replica whose controller is on the same machine, has started it, and knows all about it."""

    credentials: Credentials | None = None
    about: About | None = None
    code = ""

    async def open(self, worker: Worker, registry: Registry) -> None:
        """Nobody else is to know how it is."""

    def close(self) -> None:
        """As above."""


class Abroad(AtHome):
    """A replica on a network of containers."""

    def __init__(self, orders: WorkerOrders, network: Network) -> None:
        self.code = version_of(code_of(Target(orders.target)))
        self.about = About(orders.replica, "replica", orders.service, network.node, self.code, wall())
        self.credentials = credentials_of(orders.settings)
        self._network = network
        self._health: asyncio.Server | None = None

    async def open(self, worker: Worker, registry: Registry) -> None:
        def stuck() -> str:
            return worker.detail if worker.state == "stuck" else ""

        def unready() -> str:
            return "" if worker.state == "ready" else f"{worker.state} {worker.detail}".strip()

        listening = socket.socket(fileno=self._network.health)
        self._health = await serve_health(listening, stuck, unready, registry.collect)

    def close(self) -> None:
        if self._health is not None:
            self._health.close()

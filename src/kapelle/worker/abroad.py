"""What is different for a replica that an engine has started: it says who and where it is, and shows its health."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

from kapelle.artifacts.beside import beside
from kapelle.artifacts.keeper import Holder
from kapelle.artifacts.releases import code_version
from kapelle.artifacts.tidying import tidy
from kapelle.clock import monotonic, wall
from kapelle.config.engine import CONTROLLER, host_of
from kapelle.config.orders import Network, WorkerOrders
from kapelle.declare.code import code_of
from kapelle.declare.loading import Target
from kapelle.observe.metrics import Registry
from kapelle.tasks import Tasks
from kapelle.transport.complaints import Complaints
from kapelle.transport.credentials import Credentials, credentials_of
from kapelle.transport.health_port import serve_health
from kapelle.transport.knock import knock
from kapelle.transport.supervision import Supervised
from kapelle.wire.messages import About
from kapelle.worker.server import Worker

_PATIENCE = 10.0
"""Seconds for others to take over what a replica holds that is to end."""
_KNOCK_EVERY = 1.0


class AtHome:
    """A replica whose controller is on the same machine, has started it, and knows all about it."""

    credentials: Credentials | None = None
    about: About | None = None
    code = ""
    complaints: Complaints | None = None
    """About links that were refused."""

    leaving = False
    """Whether it serves on until others have what it holds."""

    async def open(self, worker: Worker, supervised: Supervised, registry: Registry) -> None:
        """Nobody else is to know how it is."""

    def state_of(self, worker: Worker) -> str:
        """What supervisors are told."""
        return "leaving" if self.leaving else worker.state

    def asked_to_end(self, worker: Worker, supervised: Supervised, drain: Callable[[], None]) -> None:
        """A signal came: ``drain`` now, or when that hurts nobody."""
        drain()

    def dropped(self, holder: Holder) -> None:
        """Something of a release is held no more; the controller tidies up."""

    def close(self) -> None:
        """Nothing was opened."""


class Abroad(AtHome):
    """A replica on a network of containers."""

    def __init__(self, orders: WorkerOrders, network: Network) -> None:
        self.code = code_version(code_of(Target(orders.target)))
        self.about = About(orders.replica, "replica", orders.service, network.node, self.code, wall())
        self.credentials = credentials_of(orders.settings)
        self.complaints: Complaints = Complaints(monotonic)
        self._network = network
        self._orders = orders
        self._tasks = Tasks()
        self._waiting: asyncio.Task[None] | None = None
        self._health: asyncio.Server | None = None

    async def open(self, worker: Worker, supervised: Supervised, registry: Registry) -> None:
        def stuck() -> str:
            return worker.detail if worker.state == "stuck" else ""

        def unready() -> str:
            state = self.state_of(worker)
            if state != "ready":
                return f"{state} {worker.detail}".strip()
            # Nobody can call it, so it must not take the place of one that is called.
            if self.complaints.reason and not worker.called and not supervised.attended:
                return f"every link to it is refused: {self.complaints.reason}"
            return ""

        listening = socket.socket(fileno=self._network.health)
        self._health = await serve_health(listening, stuck, unready, registry.collect)
        if worker.spec.sharded:
            self._tasks.spawn(self._knock(supervised))

    async def _knock(self, supervised: Supervised) -> None:
        settings = self._orders.settings
        # Without a controller it holds nothing and is not ready, and what is not ready some engines keep out of DNS.
        while True:
            if not supervised.attended:
                await knock(host_of(settings, CONTROLLER), settings.control_port)
            await asyncio.sleep(_KNOCK_EVERY)

    def asked_to_end(self, worker: Worker, supervised: Supervised, drain: Callable[[], None]) -> None:
        # Shards that only this replica has must come to another one first; the controller says when they have.
        if not (worker.spec.sharded and worker.state == "ready" and supervised.attended):
            drain()
        elif not self.leaving:
            self.leaving = True
            supervised.announce()
            self._waiting = asyncio.create_task(worker.deserted(_PATIENCE))
            self._waiting.add_done_callback(lambda _: drain())

    def dropped(self, holder: Holder) -> None:
        # There may be no controller on this machine.
        self._tasks.spawn(beside(partial(tidy, Path(self._orders.cache), self._orders.store, [*holder.holds])))

    def close(self) -> None:
        self._tasks.cancel()
        if self._waiting is not None:
            self._waiting.cancel()
        if self._health is not None:
            self._health.close()

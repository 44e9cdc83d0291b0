"""A gateway that an engine has started: it finds the replicas by itself, wherever they are, and says who it is."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Protocol

from kapelle.artifacts.beside import beside
from kapelle.artifacts.keeper import Holder, Keeper
from kapelle.artifacts.pointer import PointerLog
from kapelle.artifacts.releases import code_version
from kapelle.artifacts.stores import open_objects
from kapelle.artifacts.tidying import tidy
from kapelle.clock import wall
from kapelle.config.engine import host_of
from kapelle.config.orders import GatewayOrders, Network
from kapelle.core.rollout_messages import Pointer
from kapelle.declare.code import code_of
from kapelle.declare.loading import Target
from kapelle.errors import StoreError
from kapelle.gateway.doorway import Doorway
from kapelle.gateway.finder import Finder
from kapelle.gateway.fleet import Fleet
from kapelle.gateway.holder import GatewayHolder
from kapelle.observe.metrics import Registry
from kapelle.tasks import Tasks
from kapelle.transport.credentials import Credentials, credentials_of
from kapelle.transport.discovery import Discovery
from kapelle.transport.health_port import serve_health
from kapelle.transport.shared_door import follow_door
from kapelle.wire.messages import About, Members

_GLANCE = 2.0
"""Seconds after which a gateway that waits for the replicas of a release looks whether that is still the current one."""


class State(Protocol):
    """How far the gateway is with its ``fleet``."""

    @property
    def fleet(self) -> Fleet:
        """The replicas."""

    async def acquainted(self) -> None:
        """Return when every replica that it was told of has been reached, or that takes too long."""


class AtHome:
    """A gateway whose controller is on the same machine, has started it, and tells it who the others are."""

    credentials: Credentials | None = None
    about: About | None = None
    code = ""

    async def open(
        self, fleet: Fleet, registry: Registry, on_members: Callable[[Members], None], unready: Callable[[], str]
    ) -> None:
        """There is nobody to look for, and nobody else is to know how it is."""

    async def served(self, state: State, holder: GatewayHolder, keeper: Keeper) -> None:
        """Return when clients may be let in."""
        await state.acquainted()

    def follow(self, door: socket.socket, doorway: Doorway) -> None:
        """The door stays what it is."""

    def dropped(self, holder: Holder) -> None:
        """Something of a release is held no more; the controller tidies up."""

    def close(self) -> None:
        """Nothing was opened."""


class Abroad(AtHome):
    """A gateway on a network of containers: no controller tells it who the others are."""

    def __init__(self, orders: GatewayOrders, network: Network) -> None:
        self.code = code_version(code_of(Target(orders.target)))
        self.about = About(orders.name, "gateway", "", network.node, self.code, wall())
        self.credentials = credentials_of(orders.settings)
        self._orders = orders
        self._network = network
        self._tasks = Tasks()
        self._health: asyncio.Server | None = None

    async def open(
        self, fleet: Fleet, registry: Registry, on_members: Callable[[Members], None], unready: Callable[[], str]
    ) -> None:
        settings = self._orders.settings
        hosts = {service: host_of(settings, service) for service in fleet.pools}
        discovery = Discovery(hosts, Finder(fleet, settings.data_port, on_members).found)
        self._tasks.spawn(discovery.run())
        listening = socket.socket(fileno=self._network.health)
        self._health = await serve_health(listening, lambda: "", unready, registry.collect)

    async def served(self, state: State, holder: GatewayHolder, keeper: Keeper) -> None:
        # Others may let clients in at the same door: whoever comes in here is to be answered. Every service has to have
        # a replica for the current release, which may become another meanwhile.
        fleet, log = state.fleet, PointerLog(open_objects(self._orders.store))
        building: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                current = await _current(log) or fleet.release
                if current == fleet.release:
                    if fleet.ready:
                        return
                    await _at_most(_GLANCE, fleet.serving(current))
                elif current in holder.holds:
                    holder.route(current, None)
                elif current in keeper.report.building and current not in building:
                    await asyncio.sleep(_GLANCE)  # the controller has said so
                else:
                    for left in building.keys() - {current}:
                        building.pop(left).cancel()
                    if current not in building:
                        build = keeper.begin(current, holder.prepare(current, [0]))
                        building[current] = asyncio.create_task(build)
                    await _at_most(_GLANCE, asyncio.shield(building[current]))
        finally:
            for task in building.values():
                task.cancel()

    def follow(self, door: socket.socket, doorway: Doorway) -> None:
        folder = self._orders.settings.door
        if folder:
            self._tasks.spawn(follow_door(Path(folder), door, doorway.move))

    def dropped(self, holder: Holder) -> None:
        # There may be no controller on this machine.
        self._tasks.spawn(beside(partial(tidy, Path(self._orders.cache), self._orders.store, [*holder.holds])))

    def close(self) -> None:
        self._tasks.cancel()
        if self._health is not None:
            self._health.close()


async def _current(log: PointerLog) -> str | None:
    """The current release; None when the store cannot say, or has none."""
    with suppress(StoreError):
        pointer: Pointer = await beside(log.read)
        return pointer.release
    return None


async def _at_most(seconds: float, work: Awaitable[None]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await work

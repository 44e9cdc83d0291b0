"""The gateway process: ``python -m kapelle.gateway.main NAME``, with its orders on the standard input.

The only place of the gateway that chooses adapters.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import structlog
import uvloop

from kapelle.artifacts.keeper import Keeper
from kapelle.artifacts.sources import Sources, restore_code
from kapelle.config.orders import GatewayOrders, decode_gateway
from kapelle.declare.apps import AppSpec
from kapelle.declare.loading import Target, find_here
from kapelle.gateway.abroad import Abroad, AtHome
from kapelle.gateway.assembly import Assembly
from kapelle.gateway.bodies import shared_room
from kapelle.gateway.doorway import Doorway
from kapelle.gateway.duties import Duties
from kapelle.gateway.entrance import tls_context
from kapelle.gateway.fleet import Fleet
from kapelle.gateway.holder import GatewayHolder
from kapelle.gateway.protocols.regions import Regions
from kapelle.gateway.scrape import Collector
from kapelle.gateway.side_door import SideDoor, grpc_port
from kapelle.observe.logs import capture_prints, configure
from kapelle.observe.process import on_signals, process_registry, settle
from kapelle.transport import sockets
from kapelle.transport.connection import Connection
from kapelle.transport.credentials import Credentials, credentials_of
from kapelle.transport.door import Lender
from kapelle.transport.sharing import Arenas
from kapelle.transport.supervision import Supervised, report_failure
from kapelle.wire.messages import Acquainted, Members

log = structlog.get_logger()

_FAILED = "the gateway did not start"
_ACQUAINTANCE = 5.0
"""Seconds a gateway gives itself to reach the replicas that are there before it lets clients in."""


async def dial(address: str, credentials: Credentials | None = None) -> Connection:
    """Connect to a process of the system."""
    return await sockets.connect(sockets.Address.parse(address), credentials)


async def reach(arenas: Arenas, address: str, credentials: Credentials | None = None) -> Connection:
    """Connect to a replica; large arrays go through memory where it is on this machine."""
    connection = await dial(address, credentials)
    return arenas.dialled(connection) if address.startswith("unix:") else connection


class State:
    """How far the gateway is: ``starting``, ``waiting`` (for replicas), ``ready``, ``draining``."""

    def __init__(self, fleet: Fleet) -> None:
        self.name = "starting"
        self.on_change: Callable[[], None] = lambda: None
        self.on_acquainted: Callable[[int], None] = lambda _: None
        self.fleet = fleet
        self._version: int | None = None
        self._acquainted = asyncio.Event()
        fleet.on_change = self._look

    def heard(self, announcement: Members) -> None:
        """The controller says who is there."""
        self.fleet.update(announcement)
        self._version = announcement.version
        self._look()

    async def acquainted(self) -> None:
        """Return when every replica that is there has been reached, or that takes too long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_ACQUAINTANCE):
                await self._acquainted.wait()

    def unready(self) -> str:
        """Why requests are not answered here; "" when they are."""
        missing = ", ".join(self.fleet.waiting_for)
        return "" if self.name == "ready" else f"{self.name}, {missing} not ready" if missing else self.name

    def opened(self) -> None:
        """Clients are let in: start-up is over."""
        settle()
        self._set("waiting")
        self._look()

    def drained(self) -> None:
        """No more of them are let in."""
        self._set("draining")

    def _look(self) -> None:
        if self._version is not None and self.fleet.acquainted:
            self._acquainted.set()
            self.on_acquainted(self._version)
            self._version = None
        if self.name == "waiting" and self.fleet.ready:
            self._set("ready")

    def _set(self, name: str) -> None:
        self.name = name
        self.on_change()


async def serve(spec: AppSpec, orders: GatewayOrders) -> int:
    """Run until drained; the exit code."""
    settings = orders.settings
    registry = process_registry(gateway=orders.name)
    arenas = Arenas(settings.shared_memory, registry)
    place = Abroad(orders, orders.network) if orders.network is not None else AtHome()
    fleet = Fleet(spec, orders.name, partial(reach, arenas, credentials=place.credentials), registry, place.code)
    state = State(fleet)
    collector = Collector(orders.name, registry, fleet, dial, orders.controller)
    door = socket.socket(fileno=orders.http)
    grpc = grpc_port(settings, door.getsockname()[1])
    assembly = Assembly(
        spec, fleet, settings, registry, collector.collect, Regions(Path(orders.door).parent),
        grpc=grpc > 0, reserve=partial(shared_room, arenas),
    )  # fmt: skip
    sources = Sources(Path(orders.artifacts), orders.store, Path(orders.cache), registry)
    holder = GatewayHolder(assembly, sources, resting=orders.resting)
    keeper = Keeper(holder)
    keeper.register_metrics(registry)
    holder.on_deserted, keeper.on_dropped = keeper.changed, partial(place.dropped, holder)
    duties = Duties(assembly, keeper)
    asked, drain = _to_be_drained()
    supervised = Supervised(
        health=lambda: (state.name, "", assembly.in_flight, 0),
        collect=registry.collect,
        on_drain=drain,
        on_members=state.heard,
        on_duty=duties.told,
        about=place.about,
    )
    state.on_change = supervised.announce
    keeper.tell = duties.tell = supervised.tell_attending
    state.on_acquainted = lambda version: supervised.tell_controller(Acquainted(version))
    on_signals(partial(drain, settings.drain_timeout))
    with (
        closing(
            await sockets.serve(socket.socket(fileno=orders.control), supervised.accept, place.credentials)
        ) as control,
        door,
        closing(arenas),
        closing(Lender(Path(orders.door), door)) as lender,
    ):
        await place.open(fleet, registry, state.heard, state.unready)
        starting = asyncio.create_task(_start(keeper, holder, state, orders, place))
        await asyncio.wait((starting, asked), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            # It never took a request; a constructor cannot be stopped, and need not be waited for.
            starting.cancel()
            log.info("ended before it was ready")
            return 0
        try:
            context = starting.result()
        except BaseException as error:  # user code is loaded here, and may raise anything, a cancellation too
            log.exception(_FAILED)
            await supervised.fail(error)
            return 1
        side = (
            SideDoor(assembly.gateway, assembly.offers, settings, grpc, Path(orders.door))
            if grpc and assembly.offers
            else None
        )
        doorway = Doorway(door, Path(orders.door), assembly.gateway, settings, context, side, resting=holder.is_to_rest)
        holder.on_rest, doorway.on_shut = doorway.rest, holder.rested
        await doorway.open()
        place.follow(door, doorway)
        state.opened()
        timeout = await asked
        state.drained()
        await doorway.close()
        lender.close()
        clean = await _end(assembly, keeper, side, timeout)
        control.close()
        place.close()
        await supervised.close()
        log.info("drained" if clean else "gave up on requests that did not finish in time")
        return int(not clean)


async def _end(assembly: Assembly, keeper: Keeper, side: SideDoor | None, timeout: float) -> bool:  # noqa: ASYNC109 - a drain stops by itself
    """Answer what runs, and shut everything down; whether all was answered in time."""
    clean = await assembly.gateway.drain(timeout)
    if side is not None:
        await side.close()
    await keeper.close()
    await assembly.close()
    return clean


def _to_be_drained() -> tuple[asyncio.Future[float], Callable[[float], None]]:
    """What waits until the gateway is to end, and how it is told so and how long it has."""
    asked: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def drain(timeout: float) -> None:
        if not asked.done():
            asked.set_result(timeout)

    return asked, drain


async def _start(
    keeper: Keeper, holder: GatewayHolder, state: State, orders: GatewayOrders, place: AtHome
) -> ssl.SSLContext | None:
    """All that comes before clients are let in; those that came wait in the door's queue."""
    context = tls_context(orders.settings)
    await keeper.begin(orders.release, holder.first(orders.release))
    await place.served(state, holder, keeper)
    return context


def main() -> int:
    """Entry point; the exit code."""
    orders = decode_gateway(sys.stdin.buffer.read())
    configure(
        format=orders.settings.log_format, level=orders.settings.log_level, service="gateway", replica=orders.name
    )
    capture_prints()
    find_here()
    try:
        restore_code(orders.target, orders.release, orders.store, Path(orders.cache))
        spec = Target(orders.target).load()
    except Exception as error:  # user code is loaded here, and may raise anything
        log.exception(_FAILED)
        credentials = credentials_of(orders.settings) if orders.network is not None else None
        uvloop.run(report_failure(orders.control, error, credentials))
        return 1
    return uvloop.run(serve(spec, orders))


if __name__ == "__main__":
    sys.exit(main())

"""The worker process: ``python -m kapelle.worker.main NAME``, with its orders on the standard input.

The only place of the worker that chooses adapters.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from functools import partial
from pathlib import Path

import structlog
import uvloop

from kapelle.artifacts.keeper import Keeper
from kapelle.artifacts.sources import Sources, restore_code
from kapelle.artifacts.turns import Turns
from kapelle.config.orders import Holding, WorkerOrders, decode_worker
from kapelle.declare.loading import Target, find_here
from kapelle.declare.services import ServiceSpec
from kapelle.errors import StartError
from kapelle.observe.logs import capture_prints, configure
from kapelle.observe.process import on_signals, process_registry, settle
from kapelle.transport import sockets
from kapelle.transport.credentials import credentials_of
from kapelle.transport.sharing import Arenas
from kapelle.transport.supervision import Supervised, report_failure
from kapelle.worker.abroad import Abroad, AtHome
from kapelle.worker.duties import Duties
from kapelle.worker.holder import WorkerHolder
from kapelle.worker.server import Worker

log = structlog.get_logger()

_FAILED = "the replica did not start"
_LONGEST_TURN = 30.0
"""Seconds to wait for others to build a release, unless that is a large part of the time there is."""


async def serve(spec: ServiceSpec, orders: WorkerOrders) -> int:
    """Run until drained; the exit code."""
    held, settings = _first(spec, orders), orders.settings
    registry = process_registry(service=orders.service, replica=orders.replica)
    place = Abroad(orders, orders.network) if orders.network is not None else AtHome()
    worker = Worker(spec, orders.replica, registry, place.code)
    cache = Path(orders.cache)
    turns = Turns(cache, orders.replica, min(_LONGEST_TURN, settings.prepare_timeout / 10))
    holder = WorkerHolder(worker, Sources(Path(orders.artifacts), orders.store, cache, registry), turns)
    keeper = Keeper(holder)
    keeper.register_metrics(registry)
    keeper.on_dropped = partial(place.dropped, holder)
    asked: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def drain(timeout: float) -> None:
        if not asked.done():
            asked.set_result(timeout)

    supervised = Supervised(
        health=lambda: (
            place.state_of(worker),
            worker.detail,
            worker.in_flight,
            worker.runner.queued_rows,
        ),
        collect=registry.collect,
        on_drain=drain,
        on_duty=Duties(worker, keeper, begins_empty=not held.release).told,
        about=place.about,
    )
    worker.on_state = supervised.announce
    keeper.tell = supervised.tell_attending
    on_signals(partial(place.asked_to_end, worker, supervised, partial(drain, settings.drain_timeout)))
    control = await sockets.serve(
        socket.socket(fileno=orders.control), supervised.accept, place.credentials, place.complaints
    )
    bound = socket.socket(fileno=orders.data)
    arenas = Arenas(settings.shared_memory if bound.family == socket.AF_UNIX else 0, registry)
    data = await sockets.serve(
        bound,
        lambda connection: worker.accept(arenas.accepted(connection)),
        place.credentials,
        place.complaints,
    )
    await place.open(worker, supervised, registry)
    # Which shards it is to hold, a replica on a network hears from the controller.
    first = keeper.begin(held.release, holder.first(held.release, held.shards)) if held.release else worker.opened()
    building = asyncio.create_task(first)
    await asyncio.wait((building, asked), return_when=asyncio.FIRST_COMPLETED)
    if not building.done():
        # It never took a call; a constructor cannot be stopped, and need not be waited for.
        building.cancel()
        log.info("ended before it was ready")
        return 0
    try:
        building.result()
    except BaseException as error:  # user code is loaded here, and may raise anything, a cancellation too
        log.exception(_FAILED)
        await supervised.fail(error)
        return 1
    log.debug("ready", holds=worker.holds)
    settle()
    clean = await worker.drain(await asked)
    await keeper.close()
    for listener in (data, control):
        listener.close()
    await worker.close()
    arenas.close()
    place.close()
    await supervised.close()
    log.info("drained" if clean else "gave up on calls that did not finish in time")
    return 0 if clean else 1


def _first(spec: ServiceSpec, orders: WorkerOrders) -> Holding:
    """What it begins with. On a network, one of a sharded service hears its shards from the controller."""
    return Holding("", []) if orders.network is not None and spec.sharded else orders.holding


def load(orders: WorkerOrders) -> ServiceSpec:
    """The service, imported.

    Raises:
        ArtifactError, StoreError: its code is gone, and cannot be fetched.
        StartError: the app has no such service, or one that lives in the gateway.
    """
    restore_code(orders.target, orders.holding.release, orders.store, Path(orders.cache))
    services = {name: one for name, one in Target(orders.target).load().services.items() if not one.inline}
    if orders.service not in services:
        raise StartError(
            f"{orders.target} has no service {orders.service!r} with processes; it has {', '.join(services) or 'none'}"
        )
    return services[orders.service]


def main() -> int:
    """Entry point; the exit code."""
    orders = decode_worker(sys.stdin.buffer.read())
    configure(
        format=orders.settings.log_format,
        level=orders.settings.log_level,
        service=orders.service,
        replica=orders.replica,
    )
    capture_prints()
    find_here()
    try:
        spec = load(orders)
    except Exception as error:  # user code is loaded here, and may raise anything
        log.exception(_FAILED)
        credentials = credentials_of(orders.settings) if orders.network is not None else None
        uvloop.run(report_failure(orders.control, error, credentials))
        return 1
    return uvloop.run(serve(spec, orders))


if __name__ == "__main__":
    sys.exit(main())

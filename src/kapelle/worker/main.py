"""The worker process: ``python -m kapelle.worker.main ORDERS``. The only place of the worker that chooses adapters."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import structlog
import uvloop

from kapelle.config.orders import WorkerOrders, decode_worker
from kapelle.declare.loading import Target
from kapelle.declare.services import ServiceSpec
from kapelle.errors import StartError
from kapelle.observe.logs import capture_prints, configure
from kapelle.observe.metrics import Registry
from kapelle.observe.process import register_process_metrics, settle
from kapelle.transport import sockets
from kapelle.transport.supervision import Supervised
from kapelle.artifacts.instances import build
from kapelle.worker.server import Worker

log = structlog.get_logger()


async def serve(spec: ServiceSpec, orders: WorkerOrders) -> int:
    """Run until drained; the exit code."""
    registry = Registry(service=orders.service, replica=orders.replica)
    register_process_metrics(registry)
    worker = Worker(spec, orders.replica, registry)
    drained = asyncio.Event()
    clean = True
    tasks: set[asyncio.Task[None]] = set()

    def spawn(work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def drain(timeout: float) -> None:
        nonlocal clean
        clean = await worker.drain(timeout)
        drained.set()

    supervised = Supervised(
        health=lambda: (worker.state, worker.detail, worker.in_flight, worker.runner.queued_rows),
        collect=registry.collect,
        on_drain=lambda timeout: spawn(drain(timeout)),
    )
    worker.on_state = supervised.announce
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: spawn(drain(orders.settings.drain_timeout)))
    listeners = [
        await sockets.serve(socket.socket(fileno=orders.control), supervised.accept),
        await sockets.serve(socket.socket(fileno=orders.data), worker.accept),
    ]
    paths = {shard: Path(path) if path is not None else None for shard, path in orders.shards.items()}
    worker.serve(await build(spec, paths, worker.runner.in_thread))
    log.debug("ready", shards=sorted(paths))
    settle()
    await drained.wait()
    for listener in listeners:
        listener.close()
    await worker.close()
    supervised.close()
    log.info("drained" if clean else "gave up on calls that did not finish in time")
    return 0 if clean else 1


def main() -> int:
    """Entry point; the exit code."""
    orders = decode_worker(sys.argv[1])
    configure(
        format=orders.settings.log_format, level=orders.settings.log_level, service=orders.service, replica=orders.replica
    )
    capture_prints()
    try:
        spec = Target(orders.target).load().services.get(orders.service)
        if spec is None:
            raise StartError(f"{orders.target} has no service {orders.service!r}")
        return uvloop.run(serve(spec, orders))
    except Exception:  # noqa: BLE001 - the log is the only place where the reason of a failed start can be seen
        log.exception("the replica did not start")
        return 1


if __name__ == "__main__":
    sys.exit(main())

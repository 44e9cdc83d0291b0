"""The gateway process: ``python -m kapelle.gateway.main ORDERS``. The only place of the gateway that chooses adapters."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
import sys
from pathlib import Path

import structlog
import uvloop

from kapelle.config.orders import GatewayOrders, decode_gateway
from kapelle.config.settings import Settings
from kapelle.declare.apps import AppSpec
from kapelle.declare.loading import Target
from kapelle.errors import ConfigError
from kapelle.gateway.assembly import Assembly
from kapelle.gateway.fleet import Fleet
from kapelle.gateway.scrape import Collector
from kapelle.observe.logs import capture_prints, configure
from kapelle.observe.metrics import Registry
from kapelle.observe.process import register_process_metrics, settle
from kapelle.transport import sockets
from kapelle.transport.connection import Connection
from kapelle.transport.door import lend_door
from kapelle.transport.supervision import Supervised

log = structlog.get_logger()

_SETTLE = 0.2
"""Seconds between saying "not ready" and closing the door, for connections that are on their way."""


async def dial(address: str) -> Connection:
    """Connect to a process of the system."""
    return await sockets.connect(sockets.Address.parse(address))


async def serve(spec: AppSpec, orders: GatewayOrders) -> int:
    """Run until drained; the exit code."""
    settings = orders.settings
    registry = Registry(gateway=orders.name)
    register_process_metrics(registry)
    fleet = Fleet(spec, orders.shard_counts, orders.name, dial, registry)
    collector = Collector(orders.name, registry, fleet, dial, orders.controller)
    assembly = Assembly(spec, fleet, settings, registry, collector.collect)
    door = socket.socket(fileno=orders.http)
    state = "starting"
    end = asyncio.Event()
    timeout = settings.drain_timeout

    def drain(seconds: float) -> None:
        nonlocal timeout
        timeout = seconds
        end.set()

    supervised = Supervised(
        health=lambda: (state, "", assembly.in_flight, 0),
        collect=registry.collect,
        on_drain=drain,
        on_members=fleet.update,
    )
    def standing_changed() -> None:
        nonlocal state
        if state == "starting" and fleet.ready:
            state = "ready"
            supervised.announce()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, drain, timeout)
    control = await sockets.serve(socket.socket(fileno=orders.control), supervised.accept)
    lending = await lend_door(orders.door, door)
    root = Path(orders.artifact) if orders.artifact else Path()
    await assembly.start(lambda name: root / name)
    server = await loop.create_server(assembly.gateway.connection, sock=door, ssl=tls(settings))
    fleet.on_change = standing_changed
    standing_changed()
    settle()
    await end.wait()
    state = "draining"
    assembly.gateway.draining = True
    supervised.announce()
    lending.close()
    await asyncio.sleep(_SETTLE)
    server.close()
    clean = await assembly.gateway.drain(timeout)
    await assembly.close()
    control.close()
    supervised.close()
    log.info("drained" if clean else "gave up on requests that did not finish in time")
    return 0 if clean else 1


def tls(settings: Settings) -> ssl.SSLContext | None:
    """The TLS context, where a certificate is set."""
    if not settings.tls_certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"the certificate {settings.tls_certificate} or its key cannot be read: {error}") from None
    return context


def main() -> int:
    """Entry point; the exit code."""
    orders = decode_gateway(sys.argv[1])
    configure(format=orders.settings.log_format, level=orders.settings.log_level, service="gateway", replica=orders.name)
    capture_prints()
    try:
        return uvloop.run(serve(Target(orders.target).load(), orders))
    except Exception:  # noqa: BLE001 - the log is the only place where the reason of a failed start can be seen
        log.exception("the gateway did not start")
        return 1


if __name__ == "__main__":
    sys.exit(main())

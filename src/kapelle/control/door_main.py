"""``kapelle start door``: keeps the listening socket of one machine for the gateways in its containers."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import structlog
import uvloop

from kapelle.config.settings import Settings
from kapelle.errors import ConfigError, StartError
from kapelle.observe.metrics import Registry
from kapelle.observe.process import register_process_metrics
from kapelle.transport import sockets
from kapelle.transport.door import open_door
from kapelle.transport.forwarding import Forwarding
from kapelle.transport.health_port import serve_health
from kapelle.transport.shared_door import GRPC, DoorKeeper
from kapelle.transport.sockets import Address

log = structlog.get_logger()


def keep_door(settings: Settings) -> int:
    """Keep it until SIGTERM or SIGINT; the exit status.

    Raises:
        ConfigError: no folder is named in which gateways find it.
        StartError: the port is taken, or the folder cannot be used.
    """
    if not settings.door:
        raise ConfigError("door is not set: name the folder that the gateways share, with KAPELLE_DOOR")
    return uvloop.run(_keep(settings, Path(settings.door)))


async def _keep(settings: Settings, folder: Path) -> int:
    registry = Registry(role="door")
    register_process_metrics(registry)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        health_socket = sockets.bind(Address("tcp", settings.host, settings.health_port))
        door = open_door(settings.host, settings.port)
        keeper = DoorKeeper(folder, door)
        # Gateways cannot be lent the port of gRPC; it is theirs to take, where their app has what it needs for it.
        side = None if settings.grpc_port < 0 else open_door(settings.host, settings.grpc_port or settings.port + 1)
    except OSError as error:
        raise StartError(
            f"cannot keep {settings.host}:{settings.port} for those in {folder}: {error.strerror}"
        ) from None
    registry.gauge("kapelle_door_gateways", "Gateways that let clients in at the door.", lambda: keeper.borrowers)
    health = await serve_health(health_socket, lambda: "", lambda: "", registry.collect)
    forwarding = Forwarding(side, folder, GRPC) if side is not None else None
    if forwarding is not None:
        await forwarding.open()
    log.info("keeps the door", address=f"{settings.host}:{settings.port}", folder=str(folder))
    await stop.wait()
    keeper.close()
    if forwarding is not None:
        await forwarding.close()
    door.close()
    health.close()
    return 0

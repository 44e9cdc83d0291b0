"""``kapelle start door``: keeps the listening socket of one machine for the gateways in its containers."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import structlog
import uvloop

from kapelle.config.settings import Settings
from kapelle.control.engine import listen, open_port
from kapelle.errors import ConfigError, StartError
from kapelle.observe.process import process_registry
from kapelle.transport.door import open_door
from kapelle.transport.forwarding import Forwarding
from kapelle.transport.health_port import serve_health
from kapelle.transport.shared_door import GRPC, DoorKeeper

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
    registry = process_registry(role="door")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    listening = listen(settings, "health_port")
    door = open_port(settings)
    try:
        keeper = DoorKeeper(folder, door)
    except OSError as error:
        raise StartError(
            f"door: gateways cannot find the door in {folder}: {error.strerror or error}; name a folder of this machine "
            "that they share with KAPELLE_DOOR"
        ) from None
    registry.gauge("kapelle_door_gateways", "Gateways that let clients in at the door.", lambda: keeper.borrowers)
    health = await serve_health(listening, lambda: "", lambda: "", registry.collect)
    forwarding = await _forwarding(settings, folder)
    log.info("keeps the door", address=f"{settings.host}:{settings.port}", folder=str(folder))
    await stop.wait()
    keeper.close()
    if forwarding is not None:
        await forwarding.close()
    door.close()
    health.close()
    return 0


async def _forwarding(settings: Settings, folder: Path) -> Forwarding | None:
    """What passes on clients of gRPC: their port cannot be lent, for its servers accept at ports of their own only."""
    if settings.grpc_port < 0:
        return None
    port = settings.grpc_port or settings.port + 1
    try:
        found = Forwarding(open_door(settings.host, port), folder, GRPC)
    except OSError as error:
        raise StartError(
            f"grpc_port: cannot listen on {settings.host}:{port}: {error.strerror}; choose another with "
            "KAPELLE_GRPC_PORT, or none with -1"
        ) from None
    await found.open()
    return found

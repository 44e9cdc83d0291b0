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
from kapelle.observe.metrics import Registry
from kapelle.observe.process import register_process_metrics
from kapelle.transport.health_port import serve_health
from kapelle.transport.shared_door import DoorKeeper

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
    log.info("keeps the door", address=f"{settings.host}:{settings.port}", folder=str(folder))
    await stop.wait()
    keeper.close()
    door.close()
    health.close()
    return 0

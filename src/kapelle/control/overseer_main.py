"""``kapelle start controller``. The only place of that controller that chooses adapters."""

from __future__ import annotations

import asyncio
import signal

import structlog
import uvloop

from kapelle.artifacts.cache import Cache
from kapelle.artifacts.objects import Objects
from kapelle.config.settings import Settings
from kapelle.control.engine import listen
from kapelle.control.overseer import Overseer
from kapelle.control.plan import Stock
from kapelle.control.rundir import RunDir
from kapelle.control.single_code import ImageConductor
from kapelle.core.rollout_messages import Terms
from kapelle.declare.apps import AppSpec
from kapelle.transport.credentials import credentials_of
from kapelle.transport.health_port import serve_health

log = structlog.get_logger()


def oversee(target: str, app: AppSpec, settings: Settings, stock: Stock, objects: Objects, run: RunDir) -> int:
    """Follow the store's pointer until SIGTERM or SIGINT; the exit status.

    Raises:
        StartError: a port or the run folder cannot be had.
    """
    return uvloop.run(_oversee(target, app, settings, stock, objects, run))


async def _oversee(target: str, app: AppSpec, settings: Settings, stock: Stock, objects: Objects, run: RunDir) -> int:
    terms = Terms(prepare_timeout=settings.prepare_timeout, bake=settings.bake)
    conductor = ImageConductor(target, app, objects, Cache(stock.cache), terms)
    overseer = Overseer(target, app, settings, run, conductor, credentials_of(settings))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    listening = listen(settings, "health_port")
    health = await serve_health(listening, lambda: "", overseer.unready, overseer.registry.collect)
    await overseer.open()
    log.info("follows the store", store=str(objects))
    await stop.wait()
    overseer.close()
    health.close()
    log.info("stopped; what runs goes on")
    return 0

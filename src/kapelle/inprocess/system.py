"""A system in one process: real gateway, real workers and real encoding, over connections in memory."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from kapelle.artifacts.folder import ArtifactFolder
from kapelle.artifacts.instances import build
from kapelle.config.orders import LOCAL
from kapelle.config.settings import Settings
from kapelle.control.plan import Plan, ReplicaPlan, Stock, make_plan
from kapelle.declare.apps import AppSpec
from kapelle.errors import StartError
from kapelle.gateway.assembly import Assembly
from kapelle.gateway.fleet import Fleet
from kapelle.gateway.front import Gateway
from kapelle.gateway.protocols.regions import Regions
from kapelle.observe.metrics import Family, Registry, merge
from kapelle.transport.connection import Connection
from kapelle.transport.memory import MemoryNetwork
from kapelle.wire.messages import Member, Members
from kapelle.worker.server import Worker

log = structlog.get_logger()


class System:
    """The app, its gateway and all replicas, here. Replicas are called as elsewhere: ``Encoder-0``, ``Encoder-1``."""

    def __init__(self, spec: AppSpec, settings: Settings, artifacts: Path) -> None:
        self.spec = spec
        self.settings = settings
        self._plan: Plan = make_plan("", spec, settings, Stock(artifacts))
        self._artifacts = ArtifactFolder(artifacts)
        self._network = MemoryNetwork()
        self._workers: dict[str, Worker] = {}
        self._registries: list[Registry] = []
        self._versions = itertools.count(1)
        self._assembly: Assembly | None = None
        self._changed = asyncio.Event()
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def app(self) -> Any:
        """The app's instance in the gateway."""
        return self._started.app

    @property
    def gateway(self) -> Gateway:
        """What answers requests, once the system has started."""
        return self._started.gateway

    @property
    def replicas(self) -> list[str]:
        """The names of the replicas that run."""
        return [name for name in self._names() if name in self._workers]

    async def start(self) -> None:
        """Start everything; returns when all of it is ready.

        Raises:
            StartError: user code ends the process instead of starting.
        """
        registry = Registry(gateway="gateway-0")
        self._registries.append(registry)
        fleet = Fleet(self.spec, "gateway-0", self._connect, registry)
        fleet.on_change = self._changed.set
        self._folder = tempfile.TemporaryDirectory(prefix="kapelle-")
        regions = Regions(Path(self._folder.name))
        self._assembly = Assembly(self.spec, fleet, self.settings, registry, self._collect, regions)
        # All are waited for, so that nothing still starts when one has failed.
        started = await asyncio.gather(
            *(self._start_worker(plan) for plan in self._plan.replicas), return_exceptions=True
        )
        for failure in started:
            if failure is not None:
                raise failure
        await self._assembly.start(LOCAL, self._artifacts)
        self._announce()
        await self.ready()

    async def stop(self) -> None:
        """Drain and end everything that was started."""
        if self._assembly is not None:
            await self._assembly.drain()
            await self._assembly.close()
        for worker in self._workers.values():
            await worker.drain(self.settings.drain_timeout)
            await worker.close()
        if self._folder is not None:
            self._folder.cleanup()

    async def ready(self) -> None:
        """Return when every replica that runs may be called from the gateway."""
        fleet = self._started.fleet
        while not (fleet.ready and fleet.acquainted):
            self._changed.clear()
            await self._changed.wait()

    def _names(self) -> list[str]:
        return [plan.name for plan in self._plan.replicas]

    @property
    def _started(self) -> Assembly:
        assert self._assembly is not None, "the system was not started"
        return self._assembly

    async def _start_worker(self, plan: ReplicaPlan) -> None:
        registry = Registry(service=plan.service.name, replica=plan.name)
        self._registries.append(registry)
        service = self.spec.services[plan.service.name]
        worker = Worker(service, plan.name, registry)
        worker.on_exit = partial(self._exited, plan.name)
        try:
            worker.serve(LOCAL, await build(service, plan.shards, self._artifacts, worker.runner.in_thread))
        except BaseException as error:  # user code may also exit or be cancelled: the worker ends in any case
            worker.abort()
            if isinstance(error, SystemExit):
                raise StartError(f"{plan.name} wanted to exit with {error.code!r} while it started") from error
            raise
        self._workers[plan.name] = worker
        self._network.listen(plan.name, worker.accept)

    def _exited(self, replica: str, error: BaseException) -> None:
        """User code ended the process: here, that is the end of the replica."""
        log.warning("a replica has exited", replica=replica, reason=repr(error))
        if replica in self._workers:
            self._take(replica).abort()

    def _take(self, replica: str) -> Worker:
        worker = self._workers.pop(replica)
        self._network.forget(replica)
        self._announce()
        return worker

    async def _connect(self, address: str) -> Connection:
        return await self._network.connect(address)

    async def _collect(self) -> list[Family]:
        return merge([registry.collect() for registry in self._registries])

    def _announce(self) -> None:
        members = [
            Member(
                plan.name, "replica", plan.service.name, list(plan.shards), plan.name, "", plan.name in self._workers
            )
            for plan in self._plan.replicas
        ]
        self._started.fleet.update(Members(next(self._versions), members))

"""What a system consists of on this machine: its processes, and what each is told at its start."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from kapelle.artifacts.folder import ArtifactFolder
from kapelle.config.orders import LOCAL
from kapelle.config.settings import Settings
from kapelle.core.placement import Demand, place
from kapelle.declare.apps import AppSpec
from kapelle.declare.services import ServiceSpec
from kapelle.errors import DeclarationError

_GATEWAY = "gateway"


@dataclass(frozen=True, slots=True)
class ReplicaPlan:
    """One replica process and the shards it holds (0 for a service without any)."""

    name: str
    service: ServiceSpec
    shards: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """All processes of a system.

    ``release`` is the name of what lies in ``artifacts``; ``shard_counts`` has the number of shards of each sharded service.
    """

    target: str
    app: AppSpec
    settings: Settings
    artifacts: Path
    release: str
    replicas: tuple[ReplicaPlan, ...]
    gateways: tuple[str, ...]
    shard_counts: dict[str, int]

    def describe(self) -> list[str]:
        """A line per service, for people."""
        lines = [f"{len(self.gateways)} gateway{'s' if len(self.gateways) > 1 else ''} of {self.app.name}"]
        for service in self.app.services.values():
            plans = [plan for plan in self.replicas if plan.service is service]
            shards = self.shard_counts.get(service.name)
            if service.inline:
                lines.append(f"{service.name}: inline, in the gateway")
            elif shards is None:
                lines.append(f"{service.name}: {_count(len(plans), 'replica')}")
            else:
                per_copy = len(plans) // service.replicas
                lines.append(
                    f"{service.name}: {_count(shards, 'shard')} in {_count(service.replicas, 'copy', 'copies')}, "
                    f"{_count(per_copy, 'process', 'processes')} per copy (this machine has {_count(cores(), 'core')})"
                )
        return lines


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def cores() -> int:
    """The processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def make_plan(target: str, app: AppSpec, settings: Settings, artifacts: Path, release: str = LOCAL) -> Plan:
    """The processes for ``app`` on this machine, to serve what lies in ``artifacts``.

    Raises:
        ArtifactError: an artifact that the app or a service needs is not there.
        DeclarationError: a service has the name of the gateways.
    """
    if _GATEWAY in app.services:
        raise DeclarationError(f"a service cannot be called {_GATEWAY!r}: its processes would have the gateways' names")
    folder = ArtifactFolder(artifacts)
    counts: dict[str, int] = {}
    demands: list[Demand] = []
    for service in app.services.values():
        if service.sharded and service.artifact is not None:
            counts[service.name] = folder.shard_count(service.artifact)
        elif service.artifact is not None:
            folder.path(service.artifact)
        if not service.inline:
            demands.append(Demand(service.name, service.replicas, counts.get(service.name, 0)))
    if app.artifact is not None:
        folder.path(app.artifact)
    places = place(demands, cores(), shard_processes_per_copy=settings.shard_processes or None)
    replicas = tuple(ReplicaPlan(one.name, app.services[one.service], one.shards) for one in places)
    gateways = tuple(f"{_GATEWAY}-{number}" for number in range(settings.gateways))
    return Plan(target, app, settings, artifacts, release, replicas, gateways, counts)


def thread_environment(processes: int) -> dict[str, str]:
    """Environment for replicas, so that the thread pools of numeric libraries share the cores instead of fighting for them.

    What the user has set himself stays.
    """
    threads = str(max(1, cores() // max(1, processes)))
    wanted = {
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    return {name: value for name, value in wanted.items() if name not in os.environ}

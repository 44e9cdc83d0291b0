"""What a system consists of on this machine: its processes, and what each is told at its start."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kapelle.artifacts.folder import ArtifactFolder
from kapelle.config.orders import LOCAL
from kapelle.config.settings import Settings
from kapelle.core.assignment import Replica, assign
from kapelle.core.halves import in_halves
from kapelle.core.placement import Demand, Place, place
from kapelle.core.rollout_messages import Shape
from kapelle.declare.outline import App, Service
from kapelle.errors import DeclarationError

_GATEWAY = "gateway"
_SHOWN_OF_CODE = 6
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True, slots=True)
class ReplicaPlan:
    """One replica process and the shards it holds (0 for a service without any)."""

    name: str
    service: Service
    shards: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Stock:
    """What there is to serve: the folder of local artifacts, the store of releases if there is one, their cache."""

    artifacts: Path
    store: str = ""
    cache: Path = Path()


@dataclass(frozen=True, slots=True)
class Plan:
    """All processes of a system.

    ``release`` is what the processes begin with; ``shard_counts`` has the number of its shards for each sharded service.
    ``code`` is that of the release, "" for what is on the machine. When ``resting``, gateways wait to be told before they
    take requests.
    """

    target: str
    app: App
    settings: Settings
    stock: Stock
    release: str
    replicas: tuple[ReplicaPlan, ...]
    gateways: tuple[str, ...]
    shard_counts: dict[str, int]
    code: str = ""
    resting: bool = False
    named: str = ""
    """The target as it was named on the command line."""

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
    """The processors this process may use; where a container has a share of the machine, so many as that makes."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _QUOTA.read_text(encoding="ascii").split()
        return min(there, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):  # there is none: "max", or no such file
        return there


def make_plan(
    target: str,
    app: App,
    settings: Settings,
    stock: Stock,
    begin: Shape | None = None,
    *,
    resting: bool = False,
    named: str = "",
) -> Plan:
    """The processes for ``app`` on this machine, to begin with a release of that shape, or with the local artifacts.

    Processes of a release that brings its code are named after that: those of other code may run beside them.

    Raises:
        ArtifactError: an artifact that the app or a service needs is not there.
        DeclarationError: a service has the name of the gateways.
    """
    if _GATEWAY in app.services:
        raise DeclarationError(f"a service cannot be called {_GATEWAY!r}: its processes would have the gateways' names")
    sizes = _local_sizes(app, stock.artifacts) if begin is None else begin.services
    demands = [Demand(one.name, one.replicas, len(sizes[one.name])) for one in app.services.values() if not one.inline]
    code = "" if begin is None else begin.code
    suffix = f".{code[:_SHOWN_OF_CODE]}" if code else ""
    places = place(demands, cores(), shard_processes_per_copy=settings.shard_processes or None)
    held = {one.name: one.shards for one in places}
    if begin is not None:
        # As the rollout machine does it, so that it finds everything in its place.
        held.update(_assigned(app, places, sizes))
    replicas = tuple(ReplicaPlan(one.name + suffix, app.services[one.service], held[one.name]) for one in places)
    gateways = tuple(f"{_GATEWAY}-{number}{suffix}" for number in range(settings.gateways))
    counts = {name: len(shards) for name, shards in sizes.items() if shards}
    release = LOCAL if begin is None else begin.release
    return Plan(target, app, settings, stock, release, replicas, gateways, counts, code, resting, named or target)


def node() -> str:
    """The name of this machine among all that a system runs on."""
    return socket.gethostname()


def _local_sizes(app: App, artifacts: Path) -> dict[str, tuple[int, ...]]:
    """The shards of each service; their sizes count as equal."""
    folder = ArtifactFolder(artifacts)
    sizes: dict[str, tuple[int, ...]] = {}
    for service in app.services.values():
        sizes[service.name] = ()
        if service.sharded and service.artifact is not None:
            sizes[service.name] = (1,) * folder.shard_count(service.artifact)
        elif service.artifact is not None:
            folder.path(service.artifact)
    if app.artifact is not None:
        folder.path(app.artifact)
    return sizes


def _assigned(app: App, places: Sequence[Place], sizes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """The shards of each replica of a sharded service."""
    held: dict[str, tuple[int, ...]] = {}
    for service in app.services.values():
        if sizes.get(service.name):
            replicas = [Replica(one.name, node()) for one in places if one.service == service.name]
            if service.in_turn:
                replicas = in_halves(replicas)
            found = assign(sizes[service.name], replicas, service.replicas)
            held.update({name: tuple(sorted(shards)) for name, shards in found.items()})
    return held


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
    return _unless_set(wanted)


def memory_environment() -> dict[str, str]:
    """Environment for all processes, so that glibc keeps the memory of one large body or array for the next.

    Left to itself it hands such memory back to the kernel each time, and has it cleared again page by page, which costs
    more than everything else about it. These are the values that it comes to by itself once a block of 32 MiB was
    freed. Other C libraries do not know the names. What the user has set himself stays.
    """
    return _unless_set({"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20)})


def _unless_set(wanted: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in wanted.items() if name not in os.environ}

"""Which processes run which services and shards on this machine: a pure function of the app and the machine's size."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Demand:
    """A service to place. ``shards`` is 0 for a service that is not sharded; ``copies`` is its replicas otherwise."""

    service: str
    copies: int
    shards: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """One replica process and the shards it holds (``(0,)`` for a service that is not sharded)."""

    service: str
    number: int
    shards: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"{self.service}-{self.number}"


def shard_processes(shards: int, copies: int, cores: int) -> int:
    """How many processes hold one copy of all shards: one per shard where the machine has the cores for it, else fewer.

    Two processes per core over all copies is the most that still leaves each a fair slice of time.
    """
    return max(1, min(shards, 2 * cores // copies))


def place(demands: list[Demand], cores: int, *, shard_processes_per_copy: int | None = None) -> list[Place]:
    """The processes for ``demands``. Each process holds one copy; the copies of a shard are on different processes."""
    places: list[Place] = []
    for demand in demands:
        if not demand.shards:
            places += [Place(demand.service, number, (0,)) for number in range(demand.copies)]
            continue
        processes = shard_processes_per_copy or shard_processes(demand.shards, demand.copies, cores)
        processes = min(processes, demand.shards)
        for copy in range(demand.copies):
            for process in range(processes):
                held = tuple(range(process, demand.shards, processes))
                places.append(Place(demand.service, copy * processes + process, held))
    return places

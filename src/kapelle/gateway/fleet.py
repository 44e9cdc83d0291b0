"""All pools of a gateway, kept in step with the members that the controller announces."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from kapelle.declare.apps import AppSpec
from kapelle.gateway.link import SILENT_AFTER
from kapelle.gateway.pool import Pool
from kapelle.observe.metrics import Registry
from kapelle.transport.connection import Connection
from kapelle.wire.messages import Member, Members

Connect = Callable[[str], Awaitable[Connection]]


class Fleet:
    """The replicas of all services of an app. ``connect`` dials an address."""

    def __init__(
        self, spec: AppSpec, shard_counts: dict[str, int], caller: str, connect: Connect, registry: Registry
    ) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self.pools = {
            name: Pool(service, shard_counts.get(name, 1), caller, registry, self._changed)
            for name, service in spec.services.items()
            if not service.inline
        }
        self.members: list[Member] = []
        self._connect = connect
        self._checked = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def ready(self) -> bool:
        """Whether every service (and every shard) has a replica that may be called."""
        return all(pool.ready for pool in self.pools.values())

    @property
    def waiting_for(self) -> list[str]:
        """The services that have none."""
        return [name for name, pool in self.pools.items() if not pool.ready]

    @property
    def acquainted(self) -> bool:
        """Whether every replica that is said to serve may be called from here, too."""
        replicas = (one for one in self.members if one.role == "replica" and one.ready and one.service in self.pools)
        return all(self.pools[one.service].reaches(one.name) for one in replicas)

    def update(self, announcement: Members) -> None:
        """The members have changed."""
        self.members = announcement.members
        for name, pool in self.pools.items():
            present = {one.name: one for one in self.members if one.role == "replica" and one.service == name}
            for member in present.values():
                if member.ready:
                    pool.add(member.name, partial(self._connect, member.data))
            for gone in set(pool.names) - set(present):
                task = asyncio.create_task(pool.remove(gone))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _changed(self) -> None:
        self.on_change()

    def check(self, now: float) -> None:
        """Notice silent replicas; called about every second."""
        late = self._checked and now - self._checked >= SILENT_AFTER
        self._checked = now
        if late:
            # This process stood still, and what the replicas have said meanwhile waits to be read.
            return
        for pool in self.pools.values():
            pool.check(now)

    async def close(self) -> None:
        await asyncio.gather(*(pool.close() for pool in self.pools.values()), *self._tasks)

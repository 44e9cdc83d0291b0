"""All pools of a gateway, kept in step with the members that the controller announces."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from kapelle.declare.apps import AppSpec
from kapelle.gateway.pool import Pool
from kapelle.observe.metrics import Registry
from kapelle.transport.connection import Connection
from kapelle.wire.messages import Member, Members

Dial = Callable[[str], Awaitable[Connection]]


class Fleet:
    """The replicas of all services of an app. ``dial`` connects to an address; ``code`` is the version of the app here."""

    def __init__(self, spec: AppSpec, caller: str, dial: Dial, registry: Registry, code: str = "") -> None:
        self.on_change: Callable[[], None] = lambda: None
        self.release = ""
        self.pools = {
            name: Pool(service, caller, registry, self._changed, code)
            for name, service in spec.services.items()
            if not service.inline
        }
        self.members: list[Member] = []
        self._dial = dial
        self._moved = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Whether every service (and every shard) of the release has a replica that may be called."""
        return self.serves(self.release)

    @property
    def waiting_for(self) -> list[str]:
        """The services that have none."""
        return [name for name, pool in self.pools.items() if not pool.ready(self.release)]

    def serves(self, release: str) -> bool:
        """As ``ready``, for any release."""
        return all(pool.ready(release) for pool in self.pools.values())

    async def serving(self, release: str) -> None:
        """Return when it ``serves`` the release."""
        while not self.serves(release):
            self._moved.clear()
            await self._moved.wait()

    def open(self, release: str, shard_counts: dict[str, int]) -> None:
        """Calls for ``release`` will come; ``shard_counts`` has the number of shards of each sharded service."""
        for name, pool in self.pools.items():
            pool.open(release, range(shard_counts.get(name, 1)))

    def forget(self, release: str) -> None:
        """No more calls for ``release`` will come."""
        for pool in self.pools.values():
            pool.forget(release)

    def route(self, release: str) -> None:
        """New requests see this release: its readiness is the fleet's."""
        self.release = release
        for pool in self.pools.values():
            pool.release = release
        self._changed()

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
                if member.ready and member.data:
                    pool.add(member.name, partial(self._dial, member.data))
            for gone in set(pool.names) - set(present):
                pool.remove(gone)

    def check(self, now: float) -> None:
        """Notice silent replicas and overdue calls; called about every second."""
        for pool in self.pools.values():
            pool.check(now)

    async def close(self) -> None:
        """End all links."""
        await asyncio.gather(*(pool.close() for pool in self.pools.values()))

    def _changed(self) -> None:
        self._moved.set()
        self.on_change()

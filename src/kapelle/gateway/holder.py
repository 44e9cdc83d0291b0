"""What a gateway holds of releases: an edition of the app for each, and the requests that are pinned to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from functools import partial

from kapelle.artifacts.beside import beside
from kapelle.artifacts.sources import Sources
from kapelle.core.rollout_messages import Side
from kapelle.gateway.assembly import Assembly
from kapelle.gateway.edition import Edition
from kapelle.tasks import Tasks


class GatewayHolder:
    """Builds and drops editions. ``on_deserted`` is called when no request sees a release any more that new ones do not.

    ``on_rest`` is told when no new requests are to be taken, and when they are again; whoever hears it says ``rested``.
    """

    in_turn = False

    def __init__(self, assembly: Assembly, sources: Sources, *, resting: bool = False) -> None:
        self.on_deserted: Callable[[], None] = lambda: None
        self.on_rest: Callable[[bool], object] = lambda _: None
        self.resting = self.is_to_rest = resting
        self._assembly = assembly
        self._sources = sources
        self._started = asyncio.Event()
        self._watching = Tasks()

    @property
    def holds(self) -> dict[str, list[int]]:
        return {release: [0] for release in self._assembly.editions} if self._started.is_set() else {}

    @property
    def routed(self) -> str:
        return self._assembly.fleet.release if self._started.is_set() and not self.resting else ""

    @property
    def side(self) -> Side | None:
        aside = self._assembly.gateway.aside if self._started.is_set() and not self.resting else None
        return None if aside is None else aside.side

    @property
    def busy(self) -> dict[str, int]:
        return {one.release: one.running for one in self._assembly.editions.values() if one.running}

    async def first(self, release: str) -> None:
        """What the process begins with."""
        source = await beside(partial(self._sources.of, release))
        await self._assembly.start(release, source)
        if self.resting:
            # Nobody has asked it anything yet, and what is said to be ready is asked the golden queries at once.
            await self._assembly.fleet.serving(release)
        self._started.set()

    async def prepare(self, release: str, shards: Collection[int]) -> None:
        await self._started.wait()
        source = await beside(partial(self._sources.of, release))
        await self._assembly.prepare(release, source)

    def retire(self, release: str, shards: Collection[int]) -> Awaitable[None]:
        return self._assembly.retire(release)

    def route(self, release: str, side: Side | None) -> None:
        gateway = self._assembly.gateway
        before = [gateway.edition, *([gateway.aside.edition] if gateway.aside is not None else [])]
        self._assembly.route(release, side)
        for edition in before:
            if edition.release not in (release, side.release if side is not None else ""):
                self._watching.spawn(self._watch(edition))
        if self.is_to_rest:
            self.is_to_rest = self.resting = False
            self.on_rest(False)

    def rest(self) -> None:
        if not self.is_to_rest:
            self.is_to_rest = True
            self.on_rest(True)

    def rested(self) -> None:
        """No new requests can come any more."""
        if self.is_to_rest:
            self.resting = True
            self.on_deserted()

    async def _watch(self, edition: Edition) -> None:
        await edition.deserted()
        self.on_deserted()

"""What a worker holds of releases: built beside the traffic, dropped after it."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Collection
from functools import partial

from kapelle.artifacts.beside import beside
from kapelle.artifacts.instances import InThread, build
from kapelle.artifacts.sources import Sources
from kapelle.artifacts.turns import Turns
from kapelle.core.rollout_messages import Side
from kapelle.worker.server import Worker


class WorkerHolder:
    """Builds and drops instances of a worker's service."""

    routed = ""
    side: Side | None = None

    def __init__(self, worker: Worker, sources: Sources, turns: Turns) -> None:
        self._worker = worker
        self._sources = sources
        self._turns = turns

    @property
    def in_turn(self) -> bool:
        return self._worker.spec.in_turn

    @property
    def holds(self) -> dict[str, list[int]]:
        return self._worker.holds

    @property
    def busy(self) -> dict[str, int]:
        return {}

    async def first(self, release: str, shards: Collection[int]) -> None:
        """What the process begins with: there is no traffic yet, and user code has its thread for itself."""
        await self._build(release, shards, self._worker.runner.in_thread)

    async def prepare(self, release: str, shards: Collection[int]) -> None:
        if self.in_turn:
            await beside(gc.collect)  # what the release before left in cycles takes the room of this one
        async with self._turns.turn():
            # The thread of user code is busy with calls, and they must not wait for a constructor.
            await self._build(release, shards, beside)

    def retire(self, release: str, shards: Collection[int]) -> Awaitable[None]:
        return self._worker.retire(release, shards)

    def route(self, release: str, side: Side | None) -> None:
        """Nothing begins in a worker."""

    def rest(self) -> None:
        """As above."""

    async def _build(self, release: str, shards: Collection[int], in_thread: InThread) -> None:
        source = await beside(partial(self._sources.of, release))
        self._worker.serve(release, await build(self._worker.spec, sorted(shards), source, in_thread))

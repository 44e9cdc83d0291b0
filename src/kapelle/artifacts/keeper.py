"""Keeps what a process holds of releases in step with the orders it is given, and says what that is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from kapelle.core.rollout_fence import Fence
from kapelle.core.rollout_messages import Shards, Side, Stamp
from kapelle.errors import in_a_line
from kapelle.observe.metrics import Registry
from kapelle.tasks import Tasks, is_stopped
from kapelle.wire import messages

log = structlog.get_logger()


class Holder(Protocol):
    """What holds instances of releases: the worker, or the gateway."""

    @property
    def holds(self) -> dict[str, list[int]]:
        """The shards of each release that are ready."""

    @property
    def in_turn(self) -> bool:
        """Whether there is room for one release only, so that one has to go before another comes."""

    @property
    def routed(self) -> str:
        """The release that new requests are pinned to; "" where there are none."""

    @property
    def side(self) -> Side | None:
        """The release that some of them see besides."""

    @property
    def busy(self) -> dict[str, int]:
        """The requests under way that are pinned to each release."""

    async def prepare(self, release: str, shards: Shards) -> None:
        """Build these shards and begin to take calls for them. User code is loaded and may raise anything."""

    def retire(self, release: str, shards: Shards) -> Awaitable[None]:
        """Take no more calls for these shards from now on; what is returned drops them when the last one has ended."""

    def route(self, release: str, side: Side | None) -> None:
        """Pin new requests to this release, some to that at its side; all of them are prepared."""

    def rest(self) -> None:
        """Take no new requests until there is a route again."""


class Keeper:
    """Obeys orders in the sequence of their stamps, however they arrive. ``tell`` gets a report at every change."""

    def __init__(self, holder: Holder) -> None:
        self.tell: Callable[[messages.Report], None] = lambda _: None
        self.on_dropped: Callable[[], None] = lambda: None
        """Called when a release, or a part of one, is held no more."""
        self._holder = holder
        self._fence = Fence()
        self._number = 0
        self._building: dict[str, tuple[Shards, asyncio.Task[None]]] = {}
        self._first = ""
        """The release that the process begins with, until it is there."""
        self._retiring = Tasks()
        self._failed: dict[str, str] = {}
        self._routed_in = 0

    def register_metrics(self, registry: Registry) -> None:
        """Add what the process holds to its metrics."""
        held, current = "1 for each release that the process has loaded.", "1 for the release that new requests see."
        registry.states("kapelle_release_held", held, "release", lambda: self._holder.holds)
        registry.states("kapelle_release_current", current, "release", lambda: filter(None, [self._holder.routed]))

    @property
    def report(self) -> messages.Report:
        """All that there is to say now."""
        self._number += 1
        holder, fence = self._holder, self._fence
        return messages.Report(
            self._number, fence.epoch, dict(fence.heard), holder.holds, self._in_work, dict(self._failed),
            (self._routed_in, holder.routed), holder.busy, _told(holder.side),
        )  # fmt: skip

    async def begin(self, release: str, build: Awaitable[None]) -> None:
        """Build what the process begins with. Unlike later, what goes wrong goes on to the caller."""
        self._first = release
        try:
            await build
        finally:
            self._first = ""
        self.changed()

    def obey(self, order: messages.Order) -> None:
        """An order has come."""
        epoch = self._fence.epoch
        if not self._fence.admits(Stamp(order.epoch, order.number), order.release):
            return
        if self._fence.epoch != epoch:
            self._failed.clear()
        match order:
            case _ if order.release == self._first:
                pass  # the controller sees that it is being built, and comes back to it when it is there
            case messages.Prepare(release=release, shards=shards):
                self._prepare(release, frozenset(shards))
            case messages.Retire(release=release, shards=shards):
                self._retire(release, frozenset(shards))
            case messages.Route():
                self._route(order)
            case messages.Rest(epoch=epoch):
                self._holder.rest()
                self._routed_in = epoch
        self.changed()

    def changed(self) -> None:
        """What the holder says of itself is not what it was."""
        self.tell(self.report)

    @property
    def _in_work(self) -> list[str]:
        return sorted({*self._building, self._first} - {""})

    async def close(self) -> None:
        """Give up what is being built; what is being dropped is dropped."""
        for _, task in self._building.values():
            task.cancel()
        await self._retiring.ended()

    def _prepare(self, release: str, shards: Shards) -> None:
        self._failed.pop(release, None)
        missing = shards.difference(self._holder.holds.get(release, ()))
        building = self._building.get(release)
        if building is not None and building[0] == missing:
            return
        self._stop(release)
        if missing and self._has_room(release):
            task = asyncio.create_task(self._build(release, missing))
            self._building[release] = missing, task

    def _has_room(self, release: str) -> bool:
        """Whether it may be built now; where it may not, the controller comes back to it."""
        return not self._holder.in_turn or not {*self._holder.holds, *self._in_work} - {release}

    async def _build(self, release: str, shards: Shards) -> None:
        if self._holder.in_turn:
            await self._retiring.ended()
        log.info("preparing a release", release=release, shards=sorted(shards))
        failure = ""
        try:
            await self._holder.prepare(release, shards)
        except BaseException as error:  # user code is loaded here, and may raise anything: `sys.exit()`, a cancellation
            if is_stopped():
                raise
            # What serves beside it is not to end with it.
            log.exception("a release could not be prepared", release=release)
            failure = in_a_line(error)
        if self._building.get(release, (None, None))[1] is not asyncio.current_task():
            return  # told otherwise meanwhile
        del self._building[release]
        if failure:
            self._failed[release] = failure
        else:
            log.info("a release is prepared", release=release)
        self.changed()

    def _retire(self, release: str, shards: Shards) -> None:
        holder = self._holder
        self._stop(release)
        seen = (holder.routed, holder.side.release if holder.side is not None else "")
        if release in seen or holder.busy.get(release):
            return  # whoever says so has not heard of it yet
        held = shards.intersection(holder.holds.get(release, ()))
        if held:
            self._retiring.spawn(self._drop(release, held, holder.retire(release, held)))

    async def _drop(self, release: str, shards: Shards, dropping: Awaitable[None]) -> None:
        try:
            await dropping
        except Exception:  # the shut-down hooks of users may raise anything; what is dropped is dropped
            log.exception("a release was not shut down as it should", release=release)
        log.info("a release is retired", release=release, shards=sorted(shards))
        self.on_dropped()

    def _route(self, order: messages.Route) -> None:
        holds, side = self._holder.holds, order.side
        if order.release in holds and (side is None or side.release in holds):
            self._holder.route(order.release, None if side is None else Side(side.release, side.share, side.mirrored))
            self._routed_in = order.epoch

    def _stop(self, release: str) -> None:
        building = self._building.pop(release, None)
        if building is not None:
            building[1].cancel()


def _told(side: Side | None) -> messages.Side | None:
    return None if side is None else messages.Side(side.release, side.share, side.mirrored)

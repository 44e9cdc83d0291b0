"""Replicas and gateways: they obey orders through a real fence, load slowly, fail, die, and tell what they hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from kapelle.core.rollout_fence import Fence
from kapelle.core.rollout_messages import WHOLE, Order, Prepare, Process, Report, Rest, Retire, Route, Shards, Side
from kapelle.simulate.releases import Flaw, Release
from kapelle.simulate.world import World


class Simulated:
    """One incarnation of a process. ``tell`` sends a report to every controller, ``die`` is what kills it."""

    def __init__(
        self,
        world: World,
        process: Process,
        releases: dict[str, Release],
        tell: Callable[[Simulated], None],
        die: Callable[[Simulated], None],
    ) -> None:
        self.world = world
        self.process = process
        self.releases = releases
        self.alive = True
        self.fence = Fence()
        self.holds: dict[str, Shards] = {}
        self.born_at = world.now
        self.held_since: dict[str, float] = {}
        self.building: dict[str, Shards] = {}
        self.failed: dict[str, str] = {}
        self.busy: dict[str, int] = {}
        """Requests that a gateway has pinned to each release."""
        self.clumsy = False
        """Whether its next load fails for a reason of its own."""
        self.slow = False
        self.has_room_for_two = True
        """Whether it may have two releases at a time."""
        self.killed_by = ""
        """The release that it was loading when it died of that."""
        self._tell = tell
        self._die = die
        self._number = 0

    def obey(self, order: Order) -> None:
        """An order has arrived."""
        if not self.alive or order.process != self.process:
            return
        epoch, heard = self.fence.epoch, self.fence.heard.get(order.release)
        if not self.fence.admits(order.stamp, order.release):
            return
        if self.world.is_traced:
            self.world.note(self.process.name, "obeys", type(order).__name__, order.release, tuple(order.stamp))
        if self.fence.epoch != epoch:
            self.failed = {}
        changed = self._carry_out(order)
        if changed or (self.fence.epoch, self.fence.heard.get(order.release)) != (epoch, heard):
            self._tell(self)

    def report(self) -> Report:
        """All that there is to say, under a new number."""
        self._number += 1
        return Report(
            self.process,
            self._number,
            self.fence.epoch,
            dict(self.fence.heard),
            dict(self.holds),
            frozenset(self.building),
            dict(self.failed),
        )

    def _carry_out(self, order: Order) -> bool:
        match order:
            case Prepare(release=release, shards=shards):
                return self._prepare(release, shards)
            case Retire(release=release, shards=shards):
                return self._retire(release, shards)
            case Route() | Rest():
                raise self.world.violated(f"{self.process.name} is no gateway and was told to route")

    def _prepare(self, release: str, shards: Shards) -> bool:
        self.failed.pop(release, None)
        missing = shards - self.holds.get(release, frozenset())
        if not missing or self.building.get(release) == missing:
            return False
        if not self.has_room_for_two and (self.holds.keys() | self.building.keys()) - {release}:
            return False
        self.building[release] = missing
        seconds = 5.0 if self.slow else 0.05 + self.world.random.random() * 0.6
        self.world.after(seconds, lambda: self._loaded(release, missing))
        return True

    def _loaded(self, release: str, shards: Shards) -> None:
        if not self.alive or self.building.get(release) is not shards:
            return
        del self.building[release]
        flawed = self._meets_flaw(self.releases[release], shards)
        if flawed is Flaw.DEATH:
            self.killed_by = release
            self._die(self)
            return
        if flawed is not None or self.clumsy:
            self.clumsy = False
            self.failed[release] = flawed.value if flawed is not None else "no memory left here"
        else:
            self.holds[release] = self.holds.get(release, frozenset()) | shards
            self.held_since.setdefault(release, self.world.now)
        if self.world.is_traced:
            self.world.note(self.process.name, "has", self.holds, "failed", self.failed)
        self._tell(self)

    def _meets_flaw(self, release: Release, shards: Shards) -> Flaw | None:
        met = self.process.service == "cluster" and release.shard in shards
        return release.flaw if met and release.flaw in (Flaw.LOAD, Flaw.DEATH) else None

    def _retire(self, release: str, shards: Shards) -> bool:
        self.building.pop(release, None)
        left = self.holds.get(release, frozenset()) - shards
        if left:
            self.holds[release] = left
        else:
            self.holds.pop(release, None)
            self.held_since.pop(release, None)
        return True


class SimulatedGateway(Simulated):
    """A gateway: it also pins requests."""

    routed: tuple[int, str] | None = None
    side: Side | None = None

    def report(self) -> Report:
        return replace(super().report(), routed=self.routed, busy=dict(self.busy), side=self.side)

    def begin(self) -> str | None:
        """Pin a request: the release it will see."""
        if self.routed is None or not self.routed[1]:
            return None
        release = self.routed[1]
        if self.side is not None and self.world.random.random() < self.side.share:
            release = self.side.release
        self.busy[release] = self.busy.get(release, 0) + 1
        return release

    def drain(self) -> None:
        """Take no new requests any more."""
        self.routed = None
        self.side = None

    def end(self, release: str) -> None:
        """A request is answered."""
        self.busy[release] -= 1
        if not self.busy[release]:
            del self.busy[release]
            if release not in self.seen:
                self._tell(self)

    @property
    def seen(self) -> set[str]:
        """The releases that new requests see."""
        sides = [self.side.release] if self.side is not None else []
        return {self.routed[1], *sides} - {""} if self.routed is not None else set()

    def _carry_out(self, order: Order) -> bool:
        if isinstance(order, Rest):
            self.routed = (order.stamp.epoch, "")
            self.side = None
            return True
        if not isinstance(order, Route):
            return super()._carry_out(order)
        side = order.side
        if order.release not in self.holds or (side is not None and side.release not in self.holds):
            return False
        if self.routed is not None and self.routed[0] > order.stamp.epoch:
            raise self.world.violated(f"{self.process.name} goes back from entry {self.routed} to {order}")
        self.routed = (order.stamp.epoch, order.release)
        self.side = side
        return True

    def _retire(self, release: str, shards: Shards) -> bool:
        if self.busy.get(release) or release in self.seen:
            raise self.world.violated(f"{self.process.name} was told to drop {release} while requests are on it")
        return super()._retire(release, WHOLE)

    def _meets_flaw(self, release: Release, shards: Shards) -> Flaw | None:
        return release.flaw if release.flaw is Flaw.GATEWAY else None

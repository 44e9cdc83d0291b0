"""What must never happen, and what must have happened in the end."""

from __future__ import annotations

from collections.abc import Iterable

from kapelle.core.rollout_messages import WHOLE, Ended, Outcome, Pointer
from kapelle.simulate.processes import Simulated, SimulatedGateway
from kapelle.simulate.releases import Release
from kapelle.simulate.world import World

Key = tuple[str, str, int]
"""A release, a service, a shard."""

RECENT = 2.0
"""Seconds in which what was decided in ignorance of a death may still come to pass."""
YOUNG = 4.0
"""Seconds in which a process may not be known yet where it is decided."""


class Checks:
    """Looks at the processes themselves, not at what they report."""

    def __init__(
        self,
        world: World,
        releases: dict[str, Release],
        copies: dict[str, int],
        in_turn: frozenset[str],
        processes: dict[str, Simulated],
    ) -> None:
        self._world = world
        self._releases = releases
        self._wanted_copies = copies
        self._in_turn = in_turn
        self._processes = processes
        self._killed_at: dict[Key, float] = {}
        self._excused: set[Key] = set()
        self._victims: dict[tuple[str, Key], str] = {}
        """Who was killed by loading a release and held that shard of another one, which it has not been ready for since."""

    def killed(self, process: Simulated) -> None:
        """Copies are lost with a process, and nobody is to blame."""
        service = process.process.service
        if not process.killed_by:
            self._victims = {what: name for what, name in self._victims.items() if name != process.process.name}
        for release, shards in process.holds.items():
            for shard in shards:
                self._killed_at[release, service, shard] = self._world.now
        self.coverage()

    def killed_by_loading(self, process: Simulated, release: str, *, counted_on: bool) -> None:
        """A release has killed a process; it must not have killed all that there were of a shard.

        Of those that were ``counted_on``: one that was not well for long is a second copy for nobody.
        """
        name, service = process.process.name, process.process.service
        for other, shards in process.holds.items():
            for shard in shards if other != release else ():
                key = other, service, shard
                before = self._victims.get((release, key))
                if counted_on and self._wanted_copies[service] > 1:
                    self._victims[release, key] = name
                is_last = all(holder is process for holder in self._holders(key))
                if is_last and before is not None and before != name and self._is_away(before, key):
                    raise self._world.violated(f"{release} killed {name} after {before}: the last that had {key}")

    def _is_away(self, name: str, key: Key) -> bool:
        found = self._processes.get(name)
        return found is not None and key[2] not in found.holds.get(key[0], ())

    def coverage(self) -> None:
        """Every shard of every release with traffic is ready somewhere, unless its copies were killed."""
        for release in self._in_use():
            for key in self._keys(release):
                self.can_answer(key)

    def can_answer(self, key: Key) -> bool:
        """Whether a call to the shard finds a replica. Raises when that is the rollout's fault."""
        if any(True for _ in self._holders(key)):
            self._excused.discard(key)
            return True
        if self._world.now - self._killed_at.get(key, -RECENT) < RECENT:
            self._excused.add(key)
        if key not in self._excused:
            raise self._world.violated(f"nobody holds shard {key[2]} of {key[1]} in {key[0]}, which has traffic")
        return False

    def entry(self, entry: Pointer, before: Pointer) -> None:
        """A new entry of the log may give requests to another release only when that is ready for them."""
        if entry.side is not None:
            self._newcomer(self._releases[entry.side.release], before, forward=True)
        if entry.release is not None and entry.release != before.release:
            self._newcomer(self._releases[entry.release], before, forward=entry.previous == before.release)

    def _newcomer(self, release: Release, before: Pointer, *, forward: bool) -> None:
        if forward and release.must_not_be_committed:
            raise self._world.violated(f"{release.name} was committed though {release.flaw.value}")
        for key in self._keys(release.name):
            wanted = self._fair_copies(key[1], release, before.release) if forward else 1
            lost = self._world.now - self._killed_at.get(key, -RECENT) < RECENT
            copies = sum(1 for _ in self._holders(key)) + 2 * lost
            if copies < wanted:
                raise self._world.violated(f"{release.name} was committed with {copies} of {wanted} copies of {key}")
        for gateway in self.gateways():
            fits = gateway.process.code == release.shape.code
            if forward and fits and release.name not in gateway.holds and self._is_old(gateway):
                raise self._world.violated(f"{release.name} was committed without {gateway.process.name}")

    def ended(self, ended: Ended, author: str, since: int) -> None:
        """What somebody was told is true. ``since`` is the entry there was when the publish began."""
        made = any(entry.release == ended.release and entry.epoch > since for entry in self._world.log)
        if ended.outcome is Outcome.COMMITTED and not made:
            raise self._world.violated(f"{ended} without an entry")
        by_itself = any(
            (entry.release, entry.author) == (ended.release, author) and entry.epoch > since
            for entry in self._world.log
        )
        if ended.outcome is Outcome.REFUSED and by_itself:
            raise self._world.violated(f"{ended} with an entry")

    def unconverged(self) -> str | None:
        """What is not yet as the pointer says; None when everything is."""
        release = self._world.head.release
        if release is None:
            held = [each.process.name for each in self._processes.values() if each.alive and each.holds]
            return f"{held} hold a release though there is none" if held else None
        for process in self._processes.values():
            if reason := self._not_at_rest(process, release):
                return f"{process.process.name} {reason}"
        for key in self._keys(release):
            copies = sum(1 for _ in self._holders(key))
            if not self.gateways():
                return "no gateway"
            if copies != self._copies(key[1]):
                return f"{key} has {copies} copies; expected {self._copies(key[1])}"
        return None

    def _not_at_rest(self, process: Simulated, release: str) -> str | None:
        if process.process.code != self._code(release):
            return "runs other code"
        if not process.alive:
            return "is dead"
        if process.holds.keys() - {release} or process.building:
            return f"holds {process.holds} and builds {process.building}"
        if isinstance(process, SimulatedGateway) and process.seen != {release}:
            return f"is routed to {process.routed} and {process.side}"
        return None

    def gateways(self) -> list[SimulatedGateway]:
        """Those that live."""
        return [each for each in self._processes.values() if isinstance(each, SimulatedGateway) and each.alive]

    def _in_use(self) -> set[str]:
        used: set[str] = set()
        for gateway in self.gateways():
            used.update(gateway.busy)
            used |= gateway.seen
        return used

    def _keys(self, release: str) -> Iterable[Key]:
        for service, sizes in self._releases[release].shape.services.items():
            for shard in range(len(sizes) or 1):
                yield release, service, shard

    def _holders(self, key: Key) -> Iterable[Simulated]:
        release, service, shard = key
        for process in self._processes.values():
            if process.process.service == service and process.alive and shard in process.holds.get(release, ()):
                yield process

    def _replicas(self, service: str) -> list[Simulated]:
        return [each for each in self._processes.values() if each.process.service == service]

    def _copies(self, service: str) -> int:
        replicas = self._replicas(service)
        if not any(self._releases[name].shape.services[service] for name in self._releases):
            return len(replicas)
        return min(self._wanted_copies[service], len(replicas))

    def _fair_copies(self, service: str, release: Release, current: str | None) -> int:
        """How many copies there have to be, at the least: young replicas and restless ones may not count yet.

        Of services that change in turn one half has it, and may have half of the copies.
        """
        if service in self._in_turn:
            return 1
        steady = [
            each
            for each in self._replicas(service)
            if each.alive and self._is_old(each) and each.process.code == release.shape.code
            and (current is None or self._code(current) != release.shape.code or self._has_long_held(each, current))
        ]  # fmt: skip
        return max(1, min(self._wanted_copies[service], len(steady)))

    def _code(self, release: str) -> str:
        return self._releases[release].shape.code

    def _is_old(self, process: Simulated) -> bool:
        return self._world.now - process.born_at > YOUNG

    def _has_long_held(self, process: Simulated, release: str) -> bool:
        return release in process.holds and self._world.now - process.held_since.get(release, 0.0) > RECENT

    def gateway_has(self, gateway: SimulatedGateway, release: str) -> None:
        """A request sees its release to the end: the gateway has not dropped it."""
        if gateway.holds.get(release) != WHOLE:
            raise self._world.violated(f"{gateway.process.name} dropped {release} under a request")

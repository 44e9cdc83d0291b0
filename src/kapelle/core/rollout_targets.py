"""What each process should hold of a release, remembered so that it changes only with the processes."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from kapelle.core.assignment import Replica, assign, assign_next
from kapelle.core.halves import NEWER, OLDER, in_halves
from kapelle.core.rollout_fleet import NOTHING, Fleet, Member
from kapelle.core.rollout_messages import WHOLE, Shape, Shards, Terms

Assignment = dict[str, Shards]


class Targets:
    """The assignments of all releases that are wanted.

    A replica has its *place* from its first report until it has not been well for ``reassign_after``. One that lives
    without a place is on probation: it is asked to hold what it would have, and nobody counts on it until it does.
    The replicas of services that change ``in_turn`` hold one release each: while two are wanted, half of them each.
    """

    def __init__(self, fleet: Fleet, copies: Mapping[str, int], terms: Terms, in_turn: Collection[str] = ()) -> None:
        self.shapes: dict[str, Shape] = {}
        self._fleet = fleet
        self._copies = copies
        self._terms = terms
        self._in_turn = in_turn
        self._halves: dict[str, str] = {}
        """Which half of such a service each release is for, while there are two."""
        self._made: dict[tuple[str, str], tuple[tuple[str, ...], Assignment]] = {}

    def knows(self, release: str) -> bool:
        """Whether the shape of ``release`` has been told."""
        return release in self.shapes

    def divide(self, releases: list[str]) -> None:
        """``releases`` are wanted, the one that had the requests first before those that follow it."""
        self._halves = dict(zip(releases, (OLDER, NEWER), strict=False)) if len(releases) > 1 else {}

    def changes_in_turn(self, service: str) -> bool:
        """Whether a replica of it must not hold two releases."""
        return service in self._in_turn

    def forget(self, wanted: list[str]) -> None:
        """Keep the assignments of ``wanted`` alone."""
        if any(release not in wanted for release, _ in self._made):
            self._made = {key: made for key, made in self._made.items() if key[0] in wanted}

    def placed(self, service: str, now: float) -> list[Member]:
        """The replicas whose places are theirs, the recently dead included."""
        return [member for member in self._fleet.replicas.get(service, []) if self._has_place(member, now)]

    def _placed_for(self, release: str, service: str, now: float) -> list[Member]:
        """Those of them that are to hold something of ``release``."""
        placed = self.placed(service, now)
        if service not in self._in_turn or not self._halves:
            return placed
        half = self._halves.get(release)
        halves = {one.name: one.node for one in in_halves(_replicas(placed))}
        return [member for member in placed if halves[member.process.name] == half]

    def settled(self, service: str, now: float) -> bool:
        """Whether every replica has said what it holds, or had ``reassign_after`` to say it."""
        return all(
            member.report is not None
            or member.troubled_since is not None
            or now >= member.since + self._terms.reassign_after
            for member in self._fleet.replicas.get(service, [])
            if member.alive
        )

    def assignment(self, release: str, service: str, now: float, current: str | None) -> Assignment:
        """What the replicas with a place should hold; empty while that cannot be said."""
        sizes = self.shapes[release].services.get(service)
        placed = self._placed_for(release, service, now)
        if sizes is None or not placed:
            return {}
        if not sizes:
            return {member.process.name: WHOLE for member in placed}
        names = tuple(member.process.name for member in placed)
        made = self._made.get((release, service))
        if made is not None and made[0] == names:
            return made[1]
        if not self.settled(service, now):
            return {} if made is None else made[1]
        assignment = self._assign(release, service, placed, {} if made is None else made[1], current, now)
        self._made[release, service] = (names, assignment)
        return assignment

    def of(self, release: str, member: Member, now: float, current: str | None) -> Shards:
        """What ``member`` should hold of ``release``."""
        process = member.process
        sizes = () if process.role == "gateway" else self.shapes[release].services.get(process.service)
        if sizes is None:
            return NOTHING
        if process.service in self._in_turn and self._halves:
            return self.assignment(release, process.service, now, current).get(process.name, NOTHING)
        if not sizes:
            return WHOLE
        assignment = self.assignment(release, process.service, now, current)
        if process.name in assignment:
            return assignment[process.name]
        if not assignment or self._has_place(member, now):
            return member.holds(release)  # until it is settled who holds what
        everybody = self._as_replicas(process.service, [*self.placed(process.service, now), member])
        return assign(sizes, everybody, self._copies.get(process.service, 1), assignment)[process.name]

    def _assign(
        self, release: str, service: str, placed: list[Member], made: Assignment, current: str | None, now: float
    ) -> Assignment:
        sizes = self.shapes[release].services[service]
        copies = self._copies.get(service, 1)
        replicas = self._as_replicas(service, placed)
        if service in self._in_turn and self._halves:
            copies = max(1, copies // 2)
        before = dict(made)
        for member in placed:
            if member.process.name not in before and (held := member.holds(release)):
                before[member.process.name] = held
        if before or current is None or current == release:
            return assign(sizes, replicas, copies, before)
        held_now = self.shapes[current].services.get(service) if self.knows(current) else None
        if held_now is None or len(held_now) != len(sizes):
            return assign(sizes, replicas, copies)
        return assign_next(sizes, replicas, copies, self.assignment(current, service, now, current))

    def _as_replicas(self, service: str, members: list[Member]) -> list[Replica]:
        replicas = _replicas(members)
        return in_halves(replicas) if service in self._in_turn else replicas

    def _has_place(self, member: Member, now: float) -> bool:
        if member.troubled_since is None:
            return member.report is not None
        return now < member.troubled_since + self._terms.reassign_after


def _replicas(members: list[Member]) -> list[Replica]:
    return [Replica(member.process.name, member.process.node) for member in members]

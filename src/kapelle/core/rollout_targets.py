"""What each process should hold of a release, remembered so that it changes only with the processes."""

from __future__ import annotations

from collections.abc import Mapping

from kapelle.core.assignment import Replica, assign, assign_next
from kapelle.core.rollout_fleet import NOTHING, Fleet, Member
from kapelle.core.rollout_messages import WHOLE, Shape, Shards, Terms

Assignment = dict[str, Shards]


class Targets:
    """The assignments of all releases that are wanted.

    A replica has its *place* from its first report until it has not been well for ``reassign_after``. One that lives
    without a place is on probation: it is asked to hold what it would have, and nobody counts on it until it does.
    """

    def __init__(self, fleet: Fleet, copies: Mapping[str, int], terms: Terms) -> None:
        self.shapes: dict[str, Shape] = {}
        self._fleet = fleet
        self._copies = copies
        self._terms = terms
        self._made: dict[tuple[str, str], tuple[tuple[str, ...], Assignment]] = {}

    def knows(self, release: str) -> bool:
        """Whether the shape of ``release`` has been told."""
        return release in self.shapes

    def forget(self, wanted: list[str]) -> None:
        """Keep the assignments of ``wanted`` alone."""
        if any(release not in wanted for release, _ in self._made):
            self._made = {key: made for key, made in self._made.items() if key[0] in wanted}

    def placed(self, service: str, now: float) -> list[Member]:
        """The replicas whose places are theirs, the recently dead included."""
        return [member for member in self._fleet.replicas.get(service, []) if self._has_place(member, now)]

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
        placed = self.placed(service, now)
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
        if not sizes:
            return WHOLE
        assignment = self.assignment(release, process.service, now, current)
        if process.name in assignment:
            return assignment[process.name]
        if not assignment or self._has_place(member, now):
            return member.holds(release)  # until it is settled who holds what
        everybody = [*_replicas(self.placed(process.service, now)), Replica(process.name, process.node)]
        return assign(sizes, everybody, self._copies.get(process.service, 1), assignment)[process.name]

    def _assign(
        self, release: str, service: str, placed: list[Member], made: Assignment, current: str | None, now: float
    ) -> Assignment:
        sizes = self.shapes[release].services[service]
        copies = self._copies.get(service, 1)
        before = dict(made)
        for member in placed:
            if member.process.name not in before and (held := member.holds(release)):
                before[member.process.name] = held
        if before or current is None or current == release:
            return assign(sizes, _replicas(placed), copies, before)
        held_now = self.shapes[current].services.get(service) if self.knows(current) else None
        if held_now is None or len(held_now) != len(sizes):
            return assign(sizes, _replicas(placed), copies)
        return assign_next(sizes, _replicas(placed), copies, self.assignment(current, service, now, current))

    def _has_place(self, member: Member, now: float) -> bool:
        if member.troubled_since is None:
            return member.report is not None
        return now < member.troubled_since + self._terms.reassign_after


def _replicas(members: list[Member]) -> list[Replica]:
    return [Replica(member.process.name, member.process.node) for member in members]

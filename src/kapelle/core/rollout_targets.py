"""What each process should hold of a release, remembered so that it changes only with the processes."""

from __future__ import annotations

from kapelle.core.assignment import Replica, assign, assign_next
from kapelle.core.halves import NEWER, OLDER, in_halves
from kapelle.core.rollout_fleet import NOTHING, Fleet, Member
from kapelle.core.rollout_messages import WHOLE, Shape, Shards, Terms

Assignment = dict[str, Shards]


class Targets:
    """The assignments of all releases that are wanted.

    A replica has its *place* from its first report until it says that it leaves, or has not been well for
    ``reassign_after``. One that lives without a place is on probation: it is asked to hold what it would have, and nobody
    counts on it until it does.
    The replicas of services that change in turn hold one release each: while two are wanted, half of them each.
    """

    def __init__(self, fleet: Fleet, terms: Terms) -> None:
        self.shapes: dict[str, Shape] = {}
        self._fleet = fleet
        self._terms = terms
        self._pair: list[str] = []
        """The two releases that such replicas are divided between, the older first; empty while there is one."""
        self._made: dict[tuple[str, str], tuple[tuple[str, ...], Assignment]] = {}

    def knows(self, release: str) -> bool:
        """Whether the shape of ``release`` has been told."""
        return release in self.shapes

    def divide(self, releases: list[str]) -> None:
        """``releases`` are wanted, the one that had the requests first before those that follow it."""
        codes = {self.shapes[one].code if one in self.shapes else "" for one in releases[:2]}
        # Other code is held by other processes.
        self._pair = releases[:2] if len(releases) > 1 and len(codes) == 1 else []

    @property
    def is_divided(self) -> bool:
        """Whether there are two releases for processes of the same code."""
        return bool(self._pair)

    def changes_in_turn(self, member: Member) -> bool:
        """Whether it must not hold two releases."""
        process = member.process
        return any(process.service in one.in_turn for one in self.shapes.values() if one.code == process.code)

    def forget(self, wanted: list[str]) -> None:
        """Keep the assignments of ``wanted`` alone."""
        if any(release not in wanted for release, _ in self._made):
            self._made = {key: made for key, made in self._made.items() if key[0] in wanted}

    def fits(self, release: str, member: Member) -> bool:
        """Whether it runs the code that ``release`` needs."""
        return self.knows(release) and self.shapes[release].code == member.process.code

    def placed(self, service: str, now: float) -> list[Member]:
        """The replicas whose places are theirs, the recently dead included."""
        return [member for member in self._fleet.replicas.get(service, []) if self._has_place(member, now)]

    def _placed_for(self, release: str, service: str, now: float) -> list[Member]:
        """Those of them that are to hold something of ``release``."""
        placed = [member for member in self.placed(service, now) if self.fits(release, member)]
        if not self._pair or service not in self.shapes[release].in_turn:
            return placed
        if release not in self._pair:
            return []
        half = {one.name: one.node for one in in_halves(_replicas(placed))}
        older, newer = self._pair

        def right(first: str, then: str) -> list[Member]:
            """Those that hold what is their half's when that which changes later is for ``first``."""
            release_of = {OLDER: first, NEWER: then}
            return [member for member in placed if member.holds(release_of[half[member.process.name]])]

        # Whoever goes back half-way must not make everybody change places.
        if len(right(newer, older)) > len(right(older, newer)):
            older, newer = newer, older
        own = OLDER if release == older else NEWER
        return [member for member in placed if half[member.process.name] == own]

    def settled(self, release: str, service: str, now: float) -> bool:
        """Whether every replica for it has said what it holds, or had ``reassign_after`` to say it."""
        return all(
            member.report is not None
            or member.troubled_since is not None
            or now >= member.since + self._terms.reassign_after
            for member in self._fleet.replicas.get(service, [])
            if member.alive and self.fits(release, member)
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
        if not self.settled(release, service, now):
            return {} if made is None else made[1]
        assignment = self._assign(release, service, placed, {} if made is None else made[1], current, now)
        self._made[release, service] = (names, assignment)
        return assignment

    def of(self, release: str, member: Member, now: float, current: str | None) -> Shards:
        """What ``member`` should hold of ``release``."""
        return member.holds(release) if member.leaving else self._of(release, member, now, current)

    def _of(self, release: str, member: Member, now: float, current: str | None) -> Shards:
        process = member.process
        sizes = () if process.role == "gateway" else self.shapes[release].services.get(process.service)
        if sizes is None or not self.fits(release, member):
            return NOTHING
        if self._pair and process.service in self.shapes[release].in_turn:
            return self.assignment(release, process.service, now, current).get(process.name, NOTHING)
        if not sizes:
            return WHOLE
        assignment = self.assignment(release, process.service, now, current)
        if process.name in assignment:
            return assignment[process.name]
        if not assignment or self._has_place(member, now):
            return member.holds(release)  # until it is settled who holds what
        everybody = self._as_replicas(
            release, process.service, [*self._placed_for(release, process.service, now), member]
        )
        return assign(sizes, everybody, self.shapes[release].copies.get(process.service, 1), assignment)[process.name]

    def _assign(
        self, release: str, service: str, placed: list[Member], made: Assignment, current: str | None, now: float
    ) -> Assignment:
        shape = self.shapes[release]
        sizes, copies = shape.services[service], shape.copies.get(service, 1)
        replicas = self._as_replicas(release, service, placed)
        if self._pair and service in shape.in_turn:
            copies = max(1, copies // 2)
        before = dict(made)
        for member in placed:
            if member.process.name not in before and (held := member.holds(release)):
                before[member.process.name] = held
        if before or current is None or current == release:
            return assign(sizes, replicas, copies, before)
        held_now = self.shapes[current].services.get(service) if self.knows(current) else None
        if held_now is None or len(held_now) != len(sizes) or self.shapes[current].code != shape.code:
            return assign(sizes, replicas, copies)
        return assign_next(sizes, replicas, copies, self.assignment(current, service, now, current))

    def _as_replicas(self, release: str, service: str, members: list[Member]) -> list[Replica]:
        replicas = _replicas(members)
        return in_halves(replicas) if service in self.shapes[release].in_turn else replicas

    def _has_place(self, member: Member, now: float) -> bool:
        if member.leaving:
            return False
        if member.troubled_since is None:
            return member.report is not None
        return now < member.troubled_since + self._terms.reassign_after


def _replicas(members: list[Member]) -> list[Replica]:
    return [Replica(member.process.name, member.process.node) for member in members]

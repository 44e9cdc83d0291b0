"""Questions about the fleet on which decisions rest, and the orders that bring it to what is wanted.

Whoever is counted on has been heard in the epoch of the pointer: no order of an earlier one can change it any more.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kapelle.core.rollout_caution import provers
from kapelle.core.rollout_fleet import NOTHING, Fleet, Member
from kapelle.core.rollout_messages import WHOLE, Order, Pointer, Prepare, Rest, Retire, Route, Shards, Side, Stamp
from kapelle.core.rollout_targets import Targets

Want = tuple[type[Prepare] | type[Rest] | type[Retire] | type[Route], Member, str, Shards]
"""An order before it is stamped."""


@dataclass(slots=True)
class View:
    """The fleet at one moment. ``wanted`` are the releases to be held, the current one first."""

    fleet: Fleet
    targets: Targets
    pointer: Pointer
    wanted: list[str]
    now: float
    may_drop: bool
    """Whether the pointer has been where it is for long enough to drop what it no longer names."""
    _allowed: dict[str, set[str]] = field(default_factory=dict)
    _codes: set[str] = field(default_factory=set)

    def orders(self) -> list[Want]:
        """All that has to change, as far as it can now."""
        if not all(self.targets.knows(release) for release in self.wanted):
            return []
        reported = [member for member in self.fleet.alive() if member.report is not None]
        orders: list[Want] = []
        self._allowed = {one: self._may_load(one, reported) for one in self.wanted if one != self.pointer.release}
        for member in reported:
            orders += self._prepare(member)
        orders += self._route()
        self._codes = self.codes()
        for member in reported:
            orders += self._retire_unwanted(member)
            orders += self._retire_excess(member)
        return orders

    def missing(self, release: str) -> list[str]:
        """Who is not ready for traffic on ``release``: what keeps it from being committed."""
        waiting = []
        for service in self.targets.shapes[release].services:
            assignment = self._assignment(release, service)
            if not assignment:
                waiting.append(f"a replica of {service}")
            for member in self.fleet.replicas.get(service, []):
                target = assignment.get(member.process.name)
                if target is not None and not self._ready(member, release, target):
                    waiting.append(member.process.name)
        gateways = self._gateways_of(release)
        waiting += [member.process.name for member in gateways if not self._ready(member, release, WHOLE)]
        return waiting if gateways else [*waiting, "a gateway"]

    def whole(self, release: str) -> bool:
        """Whether every shard of every service is ready somewhere."""
        if not self.targets.knows(release):
            return False
        for service, sizes in self.targets.shapes[release].services.items():
            found: set[int] = set()
            for member in self.fleet.replicas.get(service, []):
                if member.obeys(self.pointer.epoch):
                    found |= member.keeps(release)
            if not found.issuperset(range(len(sizes) or 1)):
                return False
        return True

    def well(self, member: Member) -> bool:
        """Whether it holds what it should of the current release."""
        release = self.pointer.release
        if release is None:
            return member.report is not None
        return self.targets.knows(release) and self._ready(member, release, self._target(release, member))

    def is_spare(self, member: Member) -> bool:
        """Whether all that it holds of what is wanted is ready at others who stay, if anybody does."""
        replicas = self.fleet.replicas.get(member.process.service, [])
        staying = [one for one in replicas if one is not member and one.alive and not one.leaving]
        return not staying or all(
            member.holds(release) <= NOTHING.union(*(one.keeps(release) for one in staying)) for release in self.wanted
        )

    def all_routed(self) -> bool:
        """Whether every gateway sends new requests to the current release, or takes none as it has other code."""
        return all(self._is_routed(member) for member in self.fleet.living_gateways())

    def codes(self) -> set[str]:
        """The code of which processes are needed: of what is wanted, and of gateways that take requests."""
        needed = {self.targets.shapes[one].code for one in self.wanted if self.targets.knows(one)}
        if self.pointer.release is None:
            needed.add("")  # what serves before there is any release
        return needed | {one.process.code for one in self.fleet.living_gateways() if self._takes_requests(one)}

    @staticmethod
    def _takes_requests(member: Member) -> bool:
        return member.report is None or bool(member.seen)

    def failure(self, release: str, epoch: int) -> str | None:
        """Why ``release`` did not load somewhere, at an attempt of ``epoch``."""
        for member in self.fleet.alive():
            report = member.report
            if report is not None and report.epoch >= epoch and release in report.failed:
                return f"{member.process.name} could not load it: {report.failed[release]}"
        return None

    def _prepare(self, member: Member) -> list[Want]:
        orders: list[Want] = []
        for release in self.wanted:
            target = self._target(release, member)
            if not target <= member.keeps(release) and self._is_allowed(member, release):
                if not self._has_room(member, release):
                    continue
                orders.append((Prepare, member, release, target))
                if release == self.pointer.release:
                    # First that which has traffic; whether the process dies of another release shows only then.
                    return orders
        if not orders and not member.obeys(self.pointer.epoch):
            orders += self._greet(member)
        return orders

    def _is_allowed(self, member: Member, release: str) -> bool:
        return release == self.pointer.release or member.process.name in self._allowed.get(release, ())

    def _has_room(self, member: Member, release: str) -> bool:
        """Whether it has nothing else, where there is room for one. It looks itself too: orders may be late."""
        report = member.report
        if report is None or not self.targets.changes_in_turn(member):
            return True
        return not (report.holds.keys() | report.building) - {release}

    def _may_load(self, release: str, reported: list[Member]) -> set[str]:
        """Who may load a release that is not the current one: it may kill its process. Gateways come last."""
        allowed: set[str] = set()
        for service in self.targets.shapes[release].services:
            living = [one for one in reported if one.process.service == service and self.targets.fits(release, one)]
            placed = [one for one in self.targets.placed(service, self.now) if self.targets.fits(release, one)]
            is_whole = all(one in living and self.well(one) for one in placed)
            targets = [(one, self._target(release, one)) for one in living]
            wanting = [(one, shards) for one, shards in targets if not shards <= one.keeps(release)]
            allowed |= provers(release, wanting, living, is_whole=is_whole)
        if self.whole(release):
            gateways = [one.process.name for one in self._gateways_of(release) if one in reported]
            is_proven = any(one.holds(release) for one in reported if one.process.role == "gateway")
            allowed.update(gateways if is_proven else sorted(gateways)[:1])
        return allowed

    def _greet(self, member: Member) -> list[Want]:
        """Tell the epoch to a process that has nothing to do: by an order to have what it has."""
        if self.wanted:
            release = self.wanted[0]
            return [(Prepare, member, release, self._target(release, member) & member.keeps(release))]
        reports = [each.report for each in self.fleet.alive() if each.report is not None]
        held = sorted({release for report in reports for release in report.holds.keys() | report.building})
        return [(Prepare, member, release, NOTHING) for release in held[:1]]

    def _route(self) -> list[Want]:
        release = self.pointer.release
        side = self.pointer.side
        needed = [one for one in (release, side.release if side is not None else None) if one is not None]
        if release is None or not all(self.whole(one) for one in needed):
            return []
        gateways = self._gateways_of(release)
        orders: list[Want] = [
            (Route, member, release, WHOLE)
            for member in gateways
            if all(self._ready(member, one, WHOLE) for one in needed) and not self._is_routed(member)
        ]
        if any(self._is_routed(member) for member in gateways):
            others = [one for one in self.fleet.living_gateways() if one not in gateways]
            orders += [(Rest, one, release, WHOLE) for one in others if not self._is_routed(one)]
        return orders

    def _gateways_of(self, release: str) -> list[Member]:
        """The living gateways whose code can serve it."""
        return [member for member in self.fleet.living_gateways() if self.targets.fits(release, member)]

    def _is_routed(self, member: Member) -> bool:
        report, release = member.report, self.pointer.release
        if report is not None and release is not None and not self.targets.fits(release, member):
            return not member.seen
        if report is None or report.routed is None:
            return False
        return (report.routed[1], report.side) == (release, self.pointer.side)

    def _retire_unwanted(self, member: Member) -> list[Want]:
        report = member.report
        if report is None or not member.obeys(self.pointer.epoch):
            return []
        unwanted = sorted((report.holds.keys() | report.building) - set(self.wanted))
        if member.process.code not in self._codes:
            return []  # it ends, when those who call it have
        if member.process.role == "gateway":
            return [
                (Retire, member, release, WHOLE)
                for release in unwanted
                if not report.busy.get(release) and release not in member.seen
            ]
        return [
            (Retire, member, release, member.holds(release))
            for release in unwanted
            if self._may_go_first(member, release) or (self.may_drop and not self._in_use(release))
        ]

    def _may_go_first(self, member: Member, release: str) -> bool:
        """Whether it can make room while gateways still use ``release``: the other half has it, and will keep it."""
        if not self.targets.is_divided or not self.targets.changes_in_turn(member):
            return False
        replicas = self.fleet.replicas[member.process.service]
        wanting = [one for one in replicas if any(self._target(name, one) for name in self.wanted)]
        others = [one for one in replicas if one not in wanting and one.obeys(self.pointer.epoch)]
        return member in wanting and member.holds(release) <= NOTHING.union(*(one.keeps(release) for one in others))

    def _in_use(self, release: str) -> bool:
        """Whether a gateway has, or may have, requests on ``release``."""
        for member in self.fleet.living_gateways():
            report = member.report
            if report is None or not member.obeys(self.pointer.epoch) or release in report.holds:
                return True
            if report.busy.get(release) or release in member.seen:
                return True
        return False

    def _retire_excess(self, member: Member) -> list[Want]:
        """Shards of a wanted release that were given to others, once all of those have them ready."""
        service = member.process.service
        if member.process.role == "gateway" or not member.obeys(self.pointer.epoch):
            return []
        orders: list[Want] = []
        for release in self.wanted:
            excess = member.holds(release) - self._target(release, member)
            assignment = self._assignment(release, service) if excess else {}
            if not assignment:
                continue
            unready = [
                assignment[other.process.name]
                for other in self.fleet.replicas[service]
                if other.process.name in assignment and not self._ready(other, release, assignment[other.process.name])
            ]
            dropped = excess.difference(*unready)
            if dropped:
                orders.append((Retire, member, release, dropped))
        return orders

    def _ready(self, member: Member, release: str, target: Shards) -> bool:
        return member.obeys(self.pointer.epoch) and target <= member.keeps(release)

    def _target(self, release: str, member: Member) -> Shards:
        return self.targets.of(release, member, self.now, self.pointer.release)

    def _assignment(self, release: str, service: str) -> dict[str, Shards]:
        return self.targets.assignment(release, service, self.now, self.pointer.release)


def stamped(want: Want, stamp: Stamp, side: Side | None) -> Order:
    """The order; one to a gateway names what is at the ``side`` of the release."""
    kind, member, release, shards = want
    if issubclass(kind, Route):
        return kind(member.process, release, stamp, side)
    if issubclass(kind, Rest):
        return kind(member.process, release, stamp)
    return kind(member.process, release, shards, stamp)

"""The processes as their reports tell: who lives, what each holds, what it was asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from kapelle.core.rollout_messages import Prepare, Process, Report, Rest, Retire, Route, Shards, Stamp

NOTHING: Shards = frozenset()


class Asked(NamedTuple):
    """An order that was given, and when."""

    shards: Shards
    stamp: Stamp
    at: float


class Member:
    """A name in the fleet, through all its incarnations."""

    __slots__ = ("alive", "asked", "leaving", "process", "report", "since", "told_to_drop", "troubled_since")

    def __init__(self, process: Process, now: float) -> None:
        self.process = process
        self.alive = True
        self.leaving = False
        """Whether it is about to end: it keeps what it has, and others are to have that, too."""
        self.since = now
        self.report: Report | None = None
        self.troubled_since: float | None = None
        """When it began not to be well: it ended, and has not yet been ready for the current release again."""
        self.asked: dict[tuple[type, str], Asked] = {}
        """The last order of each kind about each release."""
        self.told_to_drop: list[tuple[str, Asked]] = []
        """The orders to drop something of a release that may still be on their way."""

    def restart(self, process: Process, now: float) -> None:
        """A new incarnation has taken the place of one that ended."""
        if self.alive:
            self.end(now)
        self.process = process
        self.alive = True
        self.leaving = False
        self.since = now

    def end(self, now: float) -> None:
        """The process is gone, and all that it held."""
        self.alive = False
        self.report = None
        self.asked.clear()
        self.told_to_drop.clear()
        if self.troubled_since is None:
            self.troubled_since = now

    def holds(self, release: str) -> Shards:
        """Which shards of ``release`` it has ready, as far as is known."""
        return NOTHING if self.report is None else self.report.holds.get(release, NOTHING)

    def obeys(self, epoch: int) -> bool:
        """Whether its fence has come to ``epoch``: orders of earlier ones no longer change what it holds."""
        return self.report is not None and self.report.epoch >= epoch

    def ask(self, kind: type[Prepare | Rest | Retire | Route], release: str, asked: Asked) -> None:
        """It is given an order."""
        self.asked[kind, release] = asked
        if kind is Retire and (self.report is None or _may_yet_come(asked, release, self.report)):
            self.told_to_drop.append((release, asked))

    def hear(self, report: Report) -> None:
        """It has said what it holds, and which orders have come."""
        self.report = report
        self.told_to_drop = [
            (release, told) for release, told in self.told_to_drop if _may_yet_come(told, release, report)
        ]

    def keeps(self, release: str) -> Shards:
        """What it holds of ``release`` less what it was told to drop in orders that may still be on their way."""
        return self.holds(release).difference(*(told.shards for one, told in self.told_to_drop if one == release))

    @property
    def seen(self) -> set[str]:
        """The releases that new requests see at a gateway, as far as is known."""
        report = self.report
        sides = [report.side.release] if report is not None and report.side is not None else []
        return {report.routed[1], *sides} - {""} if report is not None and report.routed is not None else set()

    def was_building(self, release: str) -> bool:
        """Whether it was told to build ``release`` and has not said that all of it is ready."""
        told = self.asked.get((Prepare, release))
        return told is not None and not told.shards <= self.holds(release)

    def __repr__(self) -> str:
        return f"<Member {self.process.name}#{self.process.incarnation}, {'alive' if self.alive else 'gone'}>"


class Fleet:
    """All members by name. Facts that are old news change nothing and are answered with False."""

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}
        self._ended: dict[str, int] = {}
        """The newest incarnation of each name that is known to have ended, even one that was never heard of."""
        self.replicas: dict[str, list[Member]] = {}
        """Those of each service, dead ones included, sorted by name."""
        self.gateways: list[Member] = []

    def started(self, process: Process, now: float) -> bool:
        """The process runs; what it holds is not known yet."""
        member = self._members.get(process.name)
        if process.incarnation <= self._ended.get(process.name, -1):
            return False
        if member is None:
            self._add(Member(process, now))
        elif process.incarnation <= member.process.incarnation:
            return False
        else:
            member.restart(process, now)
        return True

    def heard(self, report: Report, now: float) -> bool:
        """The process said what it holds."""
        process = report.process
        self.started(process, now)
        member = self._members.get(process.name)
        if member is None or process.incarnation != member.process.incarnation or not member.alive:
            return False
        if member.report is not None and report.number <= member.report.number:
            return False
        member.hear(report)
        return True

    def bury(self, name: str, incarnation: int) -> None:
        """Believe nothing more of this incarnation or an earlier one: its news may come after that of its end."""
        self._ended[name] = max(incarnation, self._ended.get(name, -1))

    def find(self, name: str, incarnation: int) -> Member | None:
        """The living member of this name and incarnation."""
        member = self._members.get(name)
        if member is None or not member.alive or member.process.incarnation != incarnation:
            return None
        return member

    def replaced_by(self, process: Process) -> Member | None:
        """The living member of an earlier incarnation whose place it takes."""
        member = self._members.get(process.name)
        replaces = member is not None and member.alive and member.process.incarnation < process.incarnation
        return member if replaces else None

    def alive(self) -> Iterator[Member]:
        """All that live, gateways first."""
        for member in self.gateways:
            if member.alive:
                yield member
        for service in self.replicas.values():
            for member in service:
                if member.alive:
                    yield member

    @property
    def seen(self) -> set[str]:
        """The releases that new requests see at some gateway."""
        return {release for member in self.living_gateways() for release in member.seen}

    def in_doubt(self) -> Iterator[float]:
        """Since when each replica is not well, or has said nothing."""
        for members in self.replicas.values():
            for member in members:
                if member.troubled_since is not None:
                    yield member.troubled_since
                elif member.report is None:
                    yield member.since

    def living_gateways(self) -> list[Member]:
        """The gateways that live, heard of or not."""
        return [member for member in self.gateways if member.alive]

    def _add(self, member: Member) -> None:
        process = member.process
        self._members[process.name] = member
        group = self.gateways if process.role == "gateway" else self.replicas.setdefault(process.service, [])
        group.append(member)
        group.sort(key=lambda each: each.process.name)


def _may_yet_come(told: Asked, release: str, report: Report) -> bool:
    return told.stamp > Stamp(report.epoch, report.heard.get(release, 0))

"""The processes as the rollout machine knows them: which life each of them is in, and what it last said of releases."""

from __future__ import annotations

from collections.abc import Iterator

from kapelle.control.conducted import Conducted
from kapelle.core import rollout_messages as core
from kapelle.wire import messages


class Roster:
    """All processes that run and have a place in a plan."""

    def __init__(self) -> None:
        self._known: dict[Conducted, core.Process] = {}
        """The running incarnation of each."""
        self._reports: dict[Conducted, messages.Report] = {}
        self._shards: dict[tuple[str, str], list[int]] = {}
        """What each place in a plan held of each release when it was last heard of."""
        self._incarnations: dict[str, int] = {}

    def __iter__(self) -> Iterator[Conducted]:
        return iter(self._known)

    def add(self, process: Conducted) -> core.Process:
        """It was started, or taken over from a controller that is gone."""
        # A successor stands for the replica whose place it takes; of gateways each has requests of its own.
        name = process.name if process.role == "gateway" else process.slot
        number = max(self._incarnations.get(name, 0) + 1, int(process.started * 1000))
        self._incarnations[name] = number
        known = core.Process(name, process.role, process.service, process.node, number, process.code)
        self._known[process] = known
        self._reports.pop(process, None)
        return known

    def remove(self, process: Conducted) -> core.Process | None:
        """It has ended; the life that it was in, if it was known."""
        self._reports.pop(process, None)
        return self._known.pop(process, None)

    def heard(self, process: Conducted, report: messages.Report) -> None:
        """It has said what it has."""
        self._reports[process] = report
        name = self._known[process].name
        self._shards.update({(name, release): held for release, held in report.holds.items()})

    def get(self, process: Conducted) -> core.Process | None:
        """The life it is in; None when it has no place."""
        return self._known.get(process)

    def find(self, life: core.Process) -> Conducted | None:
        """The process that is in this life."""
        return next((process for process, known in self._known.items() if known == life), None)

    def report(self, process: Conducted) -> messages.Report | None:
        """What it said last."""
        return self._reports.get(process)

    def gateways(self) -> Iterator[Conducted]:
        """Those that run."""
        return (process for process in self._known if process.role == "gateway")

    @property
    def codes(self) -> set[str]:
        """The code that they run."""
        return {known.code for known in self._known.values()}

    def last_held(self, slot: str, release: str, planned: list[int]) -> list[int]:
        """The shards of a release that were last held in a place; ``planned`` when nothing is known of it."""
        return self._shards.get((slot, release), planned)

    @property
    def held(self) -> set[str]:
        """The releases that some process has, or is building."""
        return {name for report in self._reports.values() for name in (*report.holds, *report.building)}

    def releases(self, process: Conducted) -> dict[str, str]:
        """Which releases it has, and in which state each is, for people."""
        report = self._reports.get(process)
        if report is None:
            return {}
        found = dict.fromkeys(report.holds, "ready")
        for release, count in report.busy.items():
            found[release] = f"{count} in flight" if release != report.routed[1] else found.get(release, "ready")
        if report.routed[1]:
            found[report.routed[1]] = "serving"
        if report.side is not None:
            found[report.side.release] = f"{'mirroring' if report.side.mirrored else 'on'} {report.side.share:.0%}"
        found.update(dict.fromkeys(report.building, "loading"))
        found.update(dict.fromkeys(report.failed, "failed"))
        return found

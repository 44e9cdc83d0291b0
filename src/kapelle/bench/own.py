"""The app's own request, sent to a real system over HTTP as its clients send it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kapelle.bench.client import HttpClient, Request
from kapelle.bench.figures import FUSED, SHARED, TCP, UNIX, Line
from kapelle.bench.fused import obstacle
from kapelle.bench.load import Tally, measure, time_of
from kapelle.bench.system import pids_of, quiet, running, temporary_folder, written_app
from kapelle.config.settings import Settings
from kapelle.declare.apps import AppSpec
from kapelle.declare.loading import Target
from kapelle.errors import ConfigError

_GOOD = range(200, 300)
_SHOWN = 200
_TURNS = 3
"""Turns in which a system is measured each time that it runs."""

WAYS: dict[str, dict[str, Any]] = {
    TCP: {"transport": "tcp", "shared_memory": 0},
    UNIX: {"transport": "unix", "shared_memory": 0},
    SHARED: {"transport": "unix"},
}
"""What a system can be set to, beside being fused."""

Step = Callable[[str, float], None]
"""Told what is measured now, and how many seconds that takes."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The app that is measured, and how. ``request`` is None where none could be made up."""

    target: str
    spec: AppSpec
    settings: Settings
    artifacts: Path
    request: Request | None


@dataclass(frozen=True, slots=True)
class Effort:
    """How long each measurement takes, and how many callers there are under load."""

    seconds: float
    concurrency: int


@dataclass(frozen=True, slots=True)
class Served:
    """One way for the app: what is started, and what was found so far."""

    way: str
    target: str
    spec: AppSpec
    settings: Settings
    alone: Tally
    loaded: Tally

    @property
    def line(self) -> Line:
        """The figures found so far."""
        return Line(self.way, self.alone.figures, self.loaded.figures)


async def measure_own(subject: Subject, effort: Effort, step: Step) -> list[Line]:
    """Through every way that the system can be set to.

    One system runs at a time, for who knows what it needs of the machine. All are started twice, so that none is measured
    only while the machine does something else.
    """
    half = Effort(effort.seconds / 2, effort.concurrency)
    with temporary_folder() as folder:
        systems = [served(way, subject, quiet(subject.settings, **changes)) for way, changes in WAYS.items()]
        if not obstacle(subject.spec):
            code = f"from kapelle.bench.fused import fuse\n\nFused = fuse({subject.target!r}, __name__)"
            target = written_app(folder, code)
            fused = Served(FUSED, target, Target(target).load(), quiet(subject.settings), Tally(), Tally())
            systems.append(fused)
        for one in (*systems, *systems):
            await measure_system(one, subject, half, step)
    return [one.line for one in systems]


def served(way: str, subject: Subject, settings: Settings) -> Served:
    """The app as it is, with these settings."""
    return Served(way, subject.target, subject.spec, settings, Tally(), Tally())


def way_of(settings: Settings) -> str:
    """The way that a system with these settings takes."""
    return TCP if settings.transport == "tcp" else SHARED if settings.shared_memory else UNIX


async def measure_system(system: Served, subject: Subject, effort: Effort, step: Step) -> None:
    """Start one system, measure, and end it.

    Raises:
        ConfigError: the request is refused.
        StartError: the app does not start.
        Unavailable: a process ended meanwhile.
    """
    request = subject.request
    assert request is not None, "whoever has none measures nothing"
    step(f"{request.target}, {system.way}: starting", 0.0)
    async with running(system.target, system.spec, system.settings, subject.artifacts) as controller:
        address = urlsplit(controller.url)
        with closing(HttpClient(address.hostname or "", address.port or 0)) as client:

            async def send() -> None:
                answer = await client.send(request)
                if answer.status not in _GOOD:
                    said = answer.body.decode(errors="replace").strip()[:_SHOWN]
                    raise ConfigError(
                        f"{request.method} {request.target} was answered with {answer.status}: {said}; give a request "
                        "that the app takes with --endpoint and --request"
                    )

            seconds = effort.seconds / _TURNS
            for _ in range(_TURNS):
                for tally, concurrency in ((system.alone, 1), (system.loaded, effort.concurrency)):
                    step(f"{request.target}, {system.way}", time_of(seconds))
                    await measure(tally, send, concurrency=concurrency, seconds=seconds, pids=pids_of(controller))

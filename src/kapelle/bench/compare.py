"""The whole comparison: the bare ways at every size, then the app's own request."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from kapelle.bench.cache import lookup_time, quickest_digest
from kapelle.bench.figures import Block, Comparison, Line, Own, Terms
from kapelle.bench.fused import obstacle
from kapelle.bench.load import Tally, measure, settled, time_of
from kapelle.bench.own import WAYS, Effort, Step, Subject, measure_own
from kapelle.bench.payload import payload
from kapelle.bench.units import size_text
from kapelle.bench.ways import Way, names, ways
from kapelle.control.plan import cores

_ROUNDS = 5
"""Turns in which each measurement is taken, spread over the time: what else the machine does is not in all of them."""
_START = 2.5
"""Seconds that a system takes to start, more or less; how long an app takes is not known before."""


def stages_of(subject: Subject) -> int:
    """As many as the app has services with processes of their own; one at least."""
    return max(1, sum(not one.inline for one in subject.spec.services.values()))


def duration(subject: Subject, sizes: list[int], effort: Effort) -> float:
    """Seconds that it takes, more or less."""
    return measuring(subject, sizes, effort) + _START * (len(names()) + 2 * _systems(subject))


def measuring(subject: Subject, sizes: list[int], effort: Effort) -> float:
    """Seconds of it in which something is measured."""
    return 2 * time_of(effort.seconds) * (len(names()) * len(sizes) + _systems(subject))


def _systems(subject: Subject) -> int:
    """How many ways there are for the app's own request."""
    return 0 if subject.request is None else len(WAYS) + (not obstacle(subject.spec))


async def compare(subject: Subject, sizes: list[int], effort: Effort, volume: Path, step: Step) -> Comparison:
    """Measure everything.

    Raises:
        KapelleError: the app does not start, refuses its request, or a process was lost.
    """
    digest = quickest_digest(payload(max(sizes)).data)
    stages = stages_of(subject)
    async with AsyncExitStack() as stack:
        step("starting", 0.0)
        opened = [await stack.enter_async_context(way) for way in ways(stages, volume)]
        stack.enter_context(settled())
        blocks = [await _block(opened, size, digest, effort, step) for size in sizes]
    own = None
    if subject.request is not None:
        request = subject.request
        lines = await measure_own(subject, effort, step)
        own = Own(
            size=len(request.body), lookup=lookup_time(digest, request.body), lines=lines,
            request=f"{request.method} {request.target}", skipped=obstacle(subject.spec),
        )  # fmt: skip
    terms = Terms(
        app=subject.spec.name, stages=stages, concurrency=effort.concurrency, seconds=effort.seconds, cores=cores(),
        digest=digest, volume=str(volume),
    )  # fmt: skip
    return Comparison(terms, blocks, own)


async def _block(opened: list[Way], size: int, digest: str, effort: Effort, step: Step) -> Block:
    data = payload(size)
    tallies = [(way, Tally(), Tally()) for way in opened]
    seconds = effort.seconds / _ROUNDS
    for _ in range(_ROUNDS):
        for way, *both in tallies:
            for tally, concurrency in zip(both, (1, effort.concurrency), strict=True):
                step(f"{size_text(size)}, {way.name}", time_of(seconds))
                send = partial(way.check, data)
                await measure(tally, send, concurrency=concurrency, seconds=seconds, pids=way.pids)
    lines = [Line(way.name, alone.figures, loaded.figures) for way, alone, loaded in tallies]
    return Block(size, lookup_time(digest, data.data), lines)

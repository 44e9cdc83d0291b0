"""Sending requests and timing them: one after the other, or by several callers at a time."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from kapelle.bench.cpu import cpu_seconds, spent
from kapelle.bench.figures import Figures
from kapelle.clock import monotonic
from kapelle.errors import Unavailable
from kapelle.observe.process import settle

Send = Callable[[], Awaitable[None]]
_WARM_UP = 0.2
"""Part of the measuring time that is spent before, so that connections, pages and caches are there."""


def time_of(seconds: float) -> float:
    """How long a measurement takes, its warm-up included."""
    return seconds * (1 + _WARM_UP)


@contextmanager
def settled() -> Iterator[None]:
    """This process as a server is: without a garbage collector that looks for cycles every few requests."""
    before = gc.get_threshold()
    settle()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


class Tally:
    """What several turns of a measurement find."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._medians: list[float] = []
        self._rates: list[float] = []
        self._cpu: list[float] = []

    def add(self, times: list[float], took: float, cpu: float | None) -> None:
        """A turn: requests that took these times, all of them together ``took`` seconds."""
        self._times += times
        self._medians.append(_quantile(times, 0.5))
        self._rates.append(len(times) / took)
        if cpu is not None:
            self._cpu.append(cpu / len(times))

    @property
    def figures(self) -> Figures:
        """What is found so far; there was one turn at least."""
        return Figures(
            requests=len(self._times),
            p50=min(self._medians),
            p99=_quantile(self._times, 0.99),
            throughput=max(self._rates),
            cpu=min(self._cpu, default=None),
        )


async def measure(tally: Tally, send: Send, *, concurrency: int, seconds: float, pids: Callable[[], list[int]]) -> None:
    """Have ``concurrency`` callers send, each of whom waits for an answer before asking again.

    ``pids`` are the processes whose CPU time counts.

    Raises:
        Unavailable: one of them has ended meanwhile: figures of a way that broke say nothing.
    """
    try:
        await _callers(send, concurrency, seconds * _WARM_UP)
        gc.collect()
        watched = pids()
        before = cpu_seconds(watched)
        began = monotonic()
        times = await _callers(send, concurrency, seconds)
        took = monotonic() - began
        used = spent(before, cpu_seconds(watched))
    except OSError as error:
        raise Unavailable(f"a process that was measured does not answer any more: {error}") from error
    if pids() != watched:
        raise Unavailable("a process that was measured has ended, and another one has taken its place")
    tally.add(times, took, used)


def _quantile(times: list[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(share * len(times)))]


async def _callers(send: Send, concurrency: int, seconds: float) -> list[float]:
    """The time of each request; every caller sends one at least."""
    times: list[float] = []
    end = monotonic() + seconds

    async def caller() -> None:
        now = monotonic()
        while True:
            await send()
            before, now = now, monotonic()
            times.append(now - before)
            if now >= end:
                return

    callers = [asyncio.create_task(caller()) for _ in range(concurrency)]
    try:
        await asyncio.gather(*callers)
    finally:
        for one in callers:
            one.cancel()
    return times

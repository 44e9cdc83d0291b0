"""One round: a fresh server, warmed up, under three loads in turn; or the same work without a server."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cpu import machine_busy_seconds
from load import Outcome, closed_loop, open_loop
from servers import Server, common_environment, running
from targets.base import BENCHMARKS, Target

WARM_UP_SECONDS = 2.0


@dataclass(frozen=True)
class Settings:
    """How a round is driven.

    Attributes:
        seconds: length of the closed loop at `concurrency`; the other two loads take half of it each.
        concurrency: requests in flight of that loop.
        rate: arrivals a second of the open loop, the same for every target.
    """

    seconds: float
    concurrency: int
    rate: float


@dataclass(frozen=True)
class Load:
    """What one load measured.

    Attributes:
        right: answers that were right.
        errors: how often each kind of error happened.
        rate: right answers a second.
        p50, p90, p99, worst: latencies of right answers, milliseconds.
        cpu_us: CPU time of all the server's processes for each right answer, microseconds.
        others: CPU time that the machine spent on neither the server nor the load, as a share of one core.
    """

    right: int
    errors: dict[str, int]
    rate: float
    p50: float
    p90: float
    p99: float
    worst: float
    cpu_us: float
    others: float


@dataclass(frozen=True)
class Round:
    """What one round of one target measured: 64 at once (or as set), one at a time, and the open loop."""

    target: str
    seconds_to_first_answer: float
    crowd: Load
    alone: Load
    open: Load
    memory_mib: float

    @property
    def errors(self) -> int:
        return sum(sum(load.errors.values()) for load in (self.crowd, self.alone, self.open))

    @property
    def right(self) -> int:
        return self.crowd.right + self.alone.right + self.open.right


@dataclass(frozen=True)
class Bare:
    """What one process needs that does the work of a scenario and nothing else.

    Attributes:
        cpu_us: CPU time for each answer, microseconds.
        rate: answers a second.
    """

    cpu_us: float
    rate: float


def measure_bare(scenario: str, seconds: float) -> Bare:
    """Do a picture scenario's work without a server, in a process of its own.

    Raises:
        subprocess.CalledProcessError: an answer was wrong.
    """
    command = [sys.executable, str(BENCHMARKS / "bare.py"), scenario, str(seconds)]
    ran = subprocess.run(command, env=common_environment(Path.home()), check=True, stdout=subprocess.PIPE)
    return Bare(**json.loads(ran.stdout))


def play_round(target: Target, scenario: str, settings: Settings) -> Round:
    """Start the target, measure it, stop it.

    Raises:
        NotInstalled, ServerFailed: it cannot be measured.
    """
    with running(target, scenario) as server:
        dialogue, port = server.dialogue, server.port
        closed_loop(dialogue, port, concurrency=settings.concurrency, seconds=WARM_UP_SECONDS)
        half = settings.seconds / 2
        crowd = _measure(
            server,
            lambda: closed_loop(dialogue, port, concurrency=settings.concurrency, seconds=settings.seconds),
        )
        alone = _measure(server, lambda: closed_loop(dialogue, port, concurrency=1, seconds=half))
        arrivals = _measure(server, lambda: open_loop(dialogue, port, rate=settings.rate, seconds=half))
        memory = server.memory().pss / 1024**2
        return Round(target.name, server.seconds_to_first_answer, crowd, alone, arrivals, memory)


def _measure(server: Server, load: Callable[[], Outcome]) -> Load:
    started, busy, own, cpu = time.monotonic(), machine_busy_seconds(), time.process_time(), server.cpu_seconds()
    outcome = load()
    cpu = server.cpu_seconds() - cpu
    elapsed = time.monotonic() - started
    others = machine_busy_seconds() - busy - (time.process_time() - own) - cpu
    p50, p90, p99, worst = outcome.quantiles(0.5, 0.9, 0.99, 1.0)
    return Load(
        right=outcome.right,
        errors=dict(outcome.errors),
        rate=outcome.rate,
        p50=p50,
        p90=p90,
        p99=p99,
        worst=worst,
        cpu_us=cpu / outcome.right * 1e6 if outcome.right else float("nan"),
        others=max(0.0, others / elapsed),
    )

"""Measure Kapelle beside its peers.

    python benchmarks/run.py tiny                                      # every target of the scenario
    python benchmarks/run.py tiny --targets kapelle,mosec --rounds 5

Prints a table and writes it, with the method and the versions, to benchmarks/results/<scenario>.md and .json.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from machine import describe_machine, versions
from pictures import PICTURES
from report import Comparison, page, write
from rounds import Bare, Round, Settings, measure_bare, play_round
from servers import ServerFailed
from targets import TARGETS
from targets.base import BENCHMARKS, NotInstalled, Target


@dataclass(frozen=True)
class Scenario:
    """What a scenario means and how it is driven.

    Attributes:
        rate: an arrival rate that all its targets can take on two cores.
        concurrency: requests in flight of the closed loop.
    """

    meaning: str
    rate: float
    concurrency: int = 64


SCENARIOS = {
    "echo": Scenario("the least that a Python handler behind HTTP costs", rate=2000),
    "fused": Scenario("the model inside the front, no hop, against an echo", rate=2000),
    "tiny": Scenario("a 4x3 product in a process of its own, no batching", rate=400),
    "pipeline": Scenario("a JPEG, decoded and resized, to a model in another process", rate=60, concurrency=16),
    "relay": Scenario("a 602,112-byte tensor to a model in another process", rate=60, concurrency=16),
    "question-search": Scenario("question search end to end, at a load that all can take", rate=60),
    "question-search-busy": Scenario("question search end to end, at a load beyond the plain servers", rate=250),
    "tiny-batched": Scenario("a 4x3 product in a process of its own, with batching", rate=400),
}


def choose(scenario: str, names: str | None) -> list[Target]:
    """The targets named, or all that can play the scenario; in the order of the registry.

    Raises:
        ValueError: a name is unknown, or its target cannot play the scenario.
        NotInstalled: a chosen target's environment is missing.
    """
    able = {target.name: target for target in TARGETS if scenario in target.scenarios}
    wanted = names.split(",") if names else list(able)
    if strangers := [name for name in wanted if name not in able]:
        raise ValueError(f"{', '.join(strangers)} cannot play {scenario}; {', '.join(able)} can")
    chosen = [able[name] for name in able if name in wanted]
    for target in chosen:
        target.python()
    return chosen


def compare(scenario: str, targets: Sequence[Target], settings: Settings, count: int) -> Comparison:
    """Play the rounds, A B C A B C, so that whatever else the machine does hits all targets alike."""
    rounds: dict[str, list[Round]] = {target.name: [] for target in targets}
    failures: dict[str, str] = {}
    bare: list[Bare] = []
    for number in range(1, count + 1):
        if scenario in PICTURES:
            bare.append(measure_bare(scenario, settings.seconds / 2))
            print(f"round {number} of {count}: no server ... {bare[-1].cpu_us:.1f} CPU µs", file=sys.stderr)
        for target in targets:
            if target.name in failures:
                continue
            print(f"round {number} of {count}: {target.name} ... ", end="", file=sys.stderr, flush=True)
            try:
                played = play_round(target, scenario, settings)
            except ServerFailed as error:
                failures[target.name] = str(error)
                print(f"failed. {error}", file=sys.stderr)
                continue
            rounds[target.name].append(played)
            crowd = played.crowd
            print(f"{crowd.cpu_us:.1f} CPU µs, {crowd.rate:,.0f}/s, {played.errors} errors", file=sys.stderr)
    return Comparison(
        scenario=scenario,
        meaning=SCENARIOS[scenario].meaning,
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        machine=describe_machine(),
        settings=settings,
        targets=targets,
        rounds=rounds,
        failures=failures,
        versions={target.name: versions(target.python(), target.packages) for target in targets},
        bare=bare,
    )


def _end(_number: int, _frame: FrameType | None) -> None:
    sys.exit("ended by SIGTERM; every server was stopped")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("--targets", help="comma-separated; all that can play the scenario, if not given")
    parser.add_argument("--seconds", type=float, default=8.0, help="of the main load; the other two take half each")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, help="of the main load; else the scenario's own")
    parser.add_argument("--rate", type=float, help="of the open loop, arrivals a second; else the scenario's own")
    parser.add_argument("--results", type=Path, default=BENCHMARKS / "results", help="folder for the two files")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _end)  # an exception, so that `finally` stops the server
    try:
        targets = choose(options.scenario, options.targets)
        scenario = SCENARIOS[options.scenario]
        settings = Settings(options.seconds, options.concurrency or scenario.concurrency, options.rate or scenario.rate)
        comparison = compare(options.scenario, targets, settings, options.rounds)
    except (NotInstalled, ValueError) as error:
        parser.error(str(error))
    print(page(comparison))
    for path in write(comparison, options.results):
        print(f"wrote {path}", file=sys.stderr)
    return 1 if comparison.failures else 0


if __name__ == "__main__":
    sys.exit(main())

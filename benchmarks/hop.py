"""What a large array costs on its way to another process, beside one copy of it.

    python benchmarks/hop.py            # half a minute; prints the table and writes benchmarks/results/hop.md

A gateway sends 602,112 bytes of float32 to a replica and gets a number back, one call after the other: through shared
memory, through a Unix socket, through TCP. Next to each such call it sends two numbers in the same way, and copies the
array once. Medians of the medians of all rounds, which take turns.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from dialogue import Dialogue, Exchange
from machine import describe_machine
from servers import ServerFailed, ask, running
from targets.base import BENCHMARKS, NotInstalled
from targets.kapelle import KapelleApp

WAYS: Mapping[str, Mapping[str, str]] = {
    "shared memory": {},
    "Unix socket": {"KAPELLE_SHARED_MEMORY": "0"},
    "TCP": {"KAPELLE_TRANSPORT": "tcp"},
}
READY = Dialogue("/ready", [Exchange(b"{}", (), 2.0)])
TARGET_COPIES = 1.3
TARGET_MICROSECONDS = 60.0


@dataclass(frozen=True)
class Times:
    """Medians of one round in microseconds: a call with two numbers, one with the array, one copy of the array."""

    small: float
    array: float
    memcpy: float


def play(settings: Mapping[str, str], times: int) -> Times:
    """One round: a fresh server, warmed up.

    Raises:
        NotInstalled, ServerFailed: it cannot be measured.
    """
    with running(KapelleApp("hop.py:Hop", READY, settings), "hop") as server:
        _ask(server.port, times // 4)  # the first ones warm up
        return _ask(server.port, times)


def _ask(port: int, times: int) -> Times:
    exchange = Exchange(json.dumps({"times": times}).encode(), (), None)
    return Times(**json.loads(ask(port, Dialogue("/hop", [exchange]), exchange)))


def table(rounds: Mapping[str, list[Times]]) -> str:
    """One row a way: medians over the rounds, and what the array may cost beyond the small call."""
    allowed = f"{TARGET_COPIES:g} copies + {TARGET_MICROSECONDS:g} µs"
    lines = [
        f"| way | two numbers, µs | the array, µs | beyond the two numbers | one copy, µs | {allowed} |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for way, played in rounds.items():
        small, array, memcpy = (median(getattr(one, name) for one in played) for name in ("small", "array", "memcpy"))
        target = TARGET_COPIES * memcpy + TARGET_MICROSECONDS
        lines.append(
            f"| {way} | {small:.0f} | {array:.0f} | **{array - small:.0f}** | {memcpy:.0f} "
            f"| {target:.0f}: {'kept' if array - small <= target else 'not kept'} |"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=int, default=1000, help="calls of each kind in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=BENCHMARKS / "results", help="folder for hop.md")
    options = parser.parse_args()
    rounds: dict[str, list[Times]] = {way: [] for way in WAYS}
    try:
        for _ in range(options.rounds):
            for way, settings in WAYS.items():
                rounds[way].append(play(settings, options.times))
    except (NotInstalled, ServerFailed) as error:
        parser.error(str(error))
    page = (
        "# A hop: 602,112 bytes of float32 to another process, and a number back\n\n"
        f"{table(rounds)}\n\nMeasured on {describe_machine()}; one call after the other, medians of {options.rounds} rounds "
        f"of {options.times} calls of each kind, from the app's `await` to its answer. Made by `python benchmarks/hop.py`.\n"
    )
    print(page)
    (options.results / "hop.md").write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())

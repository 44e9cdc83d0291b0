"""Batches under rising load: what they make of a model that costs a fixed time a call and a little a row.

    python benchmarks/batching.py       # a minute; prints the table, writes benchmarks/results/batching.md and .svg

Requests arrive in an open loop at each rate, far beyond what the model could take one by one. Batch sizes are read from
Kapelle's own /metrics, as their sum and count grew while the load ran.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from batching_picture import draw
from dialogue import Dialogue, Exchange
from kapelle_apps.batching import CALL_SECONDS, DEADLINE_SECONDS, MAX_SIZE, ROW_SECONDS
from load import HOST, open_loop
from machine import describe_machine
from servers import ServerFailed, running
from targets.base import BENCHMARKS, NotInstalled
from targets.kapelle import KapelleApp

RATES = (50, 100, 200, 400, 800, 1600, 2400, 3200, 4000, 4800)
ASK = Dialogue(
    "/double",
    [Exchange(json.dumps({"number": number}).encode(), ("double",), 2 * number) for number in range(3)],
)


@dataclass(frozen=True)
class Step:
    """What one rate of arrivals came to; latencies in milliseconds."""

    arrivals: float
    answers: float
    rows: float
    p50: float
    p99: float
    errors: int


def batches_of(metrics: str) -> tuple[float, float]:
    """Rows and batches that /metrics tells of so far."""
    rows, batches = (
        sum(map(float, re.findall(rf"^kapelle_batch_rows_{part}(?:{{.*}})? (\S+)$", metrics, re.MULTILINE)))
        for part in ("sum", "count")
    )
    return rows, batches


def play(rates: Sequence[float], seconds: float) -> list[Step]:
    """All rates against one server.

    Raises:
        NotInstalled, ServerFailed: it cannot be measured.
    """
    steps: list[Step] = []
    with running(KapelleApp("batching.py:Batching", ASK), "batching") as server:
        open_loop(ASK, server.port, rate=rates[0], seconds=1.0)
        for rate in rates:
            rows, batches = _batches(server.port)
            outcome = open_loop(ASK, server.port, rate=rate, seconds=seconds)
            rows_after, batches_after = _batches(server.port)
            p50, p99 = outcome.quantiles(0.5, 0.99)
            size = (rows_after - rows) / (batches_after - batches)
            steps.append(Step(rate, outcome.rate, size, p50, p99, outcome.wrong))
    return steps


def _batches(port: int) -> tuple[float, float]:
    with urllib.request.urlopen(f"http://{HOST}:{port}/metrics", timeout=10) as answer:
        return batches_of(answer.read().decode())


def table(steps: Sequence[Step]) -> str:
    """One row a rate."""
    lines = [
        "| arrivals/s | right answers/s | rows in a batch | p50 ms | p99 ms | errors |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {step.arrivals:,.0f} | {step.answers:,.0f} | {step.rows:.1f} | {step.p50:.1f} | {step.p99:.1f} "
        f"| {step.errors:,} |"
        for step in steps
    ]
    return "\n".join(lines)


def page(steps: Sequence[Step], seconds: float) -> str:
    """The table, and what it is about."""
    call, row, deadline = CALL_SECONDS * 1e3, ROW_SECONDS * 1e3, DEADLINE_SECONDS * 1e3
    return (
        f"# Batches under rising load, with a deadline of {deadline:g} ms\n\n"
        f"![Rows in a batch, answers and latencies over arrivals](batching.svg)\n\n{table(steps)}\n\n"
        f"The model takes {call:g} ms a call and {row:g} ms a row: {1e3 / (call + row):,.0f} rows a second one by one, "
        f"{MAX_SIZE * 1e3 / (call + row * MAX_SIZE):,.0f} in full batches of {MAX_SIZE}. It waits as for an accelerator. Each "
        f"rate lasts {seconds:g} s; a latency counts from when its request was due. Measured on {describe_machine()}; made "
        "by `python benchmarks/batching.py`.\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="of each rate")
    parser.add_argument("--rates", help="comma-separated arrivals a second")
    parser.add_argument("--results", type=Path, default=BENCHMARKS / "results", help="folder for batching.md and .svg")
    options = parser.parse_args()
    rates = [float(rate) for rate in options.rates.split(",")] if options.rates else RATES
    try:
        steps = play(rates, options.seconds)
    except (NotInstalled, ServerFailed) as error:
        parser.error(str(error))
    text = page(steps, options.seconds)
    print(text)
    (options.results / "batching.md").write_text(text)
    picture = [(step.arrivals, step.rows, step.answers, step.p50, step.p99) for step in steps]
    (options.results / "batching.svg").write_text(draw(picture, DEADLINE_SECONDS * 1e3))
    return 0


if __name__ == "__main__":
    sys.exit(main())

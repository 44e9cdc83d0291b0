"""How long a server takes from its start to its first right answer.

    python benchmarks/startup.py                             # Kapelle and every peer of the scenario "tiny"
    python benchmarks/startup.py --targets kapelle --times 10

The clock starts before the first process does and stops when each of the scenario's requests was answered right; the
port is asked every 5 ms. Files are read from the page cache: one start that does not count comes first.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import median

from machine import describe_machine
from run import choose
from servers import ServerFailed, running
from targets.base import BENCHMARKS, NotInstalled, Target

SCENARIO = "tiny"


def start_times(target: Target, times: int) -> list[float]:
    """Seconds of each of several starts.

    Raises:
        NotInstalled, ServerFailed: it cannot be started.
    """
    seconds: list[float] = []
    for _ in range(times + 1):
        with running(target, SCENARIO) as server:
            seconds.append(server.seconds_to_first_answer)
    return seconds[1:]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--targets", help="comma-separated; all that can play the scenario, if not given")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--results", type=Path, default=BENCHMARKS / "results", help="folder for startup.md")
    options = parser.parse_args()
    lines = [
        "# Seconds from the start to the first right answer",
        "",
        f"Measured on {describe_machine()}; {options.times} starts each, after one to warm the page cache.",
        "",
        "| target | median | fastest | slowest |",
        "| --- | ---: | ---: | ---: |",
    ]
    failed = False
    try:
        for target in choose(SCENARIO, options.targets):
            try:
                seconds = start_times(target, options.times)
            except ServerFailed as error:
                failed = True
                print(error, file=sys.stderr)
                continue
            lines.append(f"| {target.name} | **{median(seconds):.2f}** | {min(seconds):.2f} | {max(seconds):.2f} |")
    except (NotInstalled, ValueError) as error:
        parser.error(str(error))
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "startup.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

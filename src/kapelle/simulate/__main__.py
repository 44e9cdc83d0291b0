"""Replay one history with all that happens in it, or look for one that goes wrong.

Run as ``python -m kapelle.simulate --seed 17`` or ``python -m kapelle.simulate --first 0 --count 10000``.
"""

from __future__ import annotations

import argparse
import sys
import time

from kapelle.simulate.history import History
from kapelle.simulate.world import Violation


def main(arguments: list[str]) -> int:
    """The exit status: 0 when nothing went wrong."""
    parser = argparse.ArgumentParser(prog="python -m kapelle.simulate", description=__doc__)
    parser.add_argument("--seed", type=int, help="replay this history and print every line of it")
    parser.add_argument("--first", type=int, default=0, help="the first seed to try")
    parser.add_argument("--count", type=int, default=1000, help="how many seeds to try")
    options = parser.parse_args(arguments)
    if options.seed is not None:
        return _replay(options.seed)
    return _search(options.first, options.count)


def _replay(seed: int) -> int:
    try:
        History(seed, _print).live()
    except Violation as violation:
        _print(f"seed {seed}: {violation}")
        return 1
    return 0


def _search(first: int, count: int) -> int:
    began = time.monotonic()
    wrong = 0
    for seed in range(first, first + count):
        try:
            History(seed).live()
        except Violation as violation:
            wrong += 1
            _print(f"python -m kapelle.simulate --seed {seed}  # {violation}")
    _print(f"{count} histories, {wrong} went wrong, {count / (time.monotonic() - began):.0f} per second")
    return 1 if wrong else 0


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`make test`, `make check`: run every check, even after one has failed, and end with a table of how each went.

Run as ``python -m scripts.check [--fast]``.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from dataclasses import dataclass

from scripts.environment import VENV
from scripts.prepare import development, testing
from scripts.steps import ROOT, run_steps


@dataclass(frozen=True)
class Check:
    """One command that passes when it exits with 0."""

    name: str
    command: str


# From the quickest to the slowest: the first message on the screen comes soon.
FAST = [
    Check("ruff check", "ruff check"),
    Check("ruff format", "ruff format --check"),
    Check("imports", "lint-imports --no-logo"),
    Check("house rules", "python -m pytest tests/house"),
    Check("mypy", "mypy"),
    Check("pyright", "pyright"),
]
FULL = [*(check for check in FAST if check.name != "house rules"), Check("pytest", "python -m pytest")]


def main(arguments: list[str]) -> int:
    """The exit status: 0 when all checks passed."""
    fast = "--fast" in arguments
    run_steps(development() if fast else testing())
    outcomes = [(check, *_run(check)) for check in (FAST if fast else FULL)]
    print()
    for check, passed, seconds in outcomes:
        print(f"{check.name:<12}  {'passed' if passed else 'FAILED'}  {seconds:7.1f} s")
    return 0 if all(passed for _, passed, _ in outcomes) else 1


def _run(check: Check) -> tuple[bool, float]:
    print(f"\n==> {check.name}: {check.command}", flush=True)
    program, *arguments = shlex.split(check.command)
    began = time.monotonic()
    status = subprocess.call([str(VENV / "bin" / program), *arguments], cwd=ROOT, stdin=subprocess.DEVNULL)
    return status == 0, time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What a server's processes weigh, beside a Python that has only imported NumPy.

    python benchmarks/memory.py                         # Kapelle and every peer of the scenario "tiny"
    python benchmarks/memory.py --targets kapelle,mosec

Each server answers a load first, so that what it allocates on demand is there. The processes that have NumPy loaded are
marked: one of them is the replica that runs the model, and what it holds beyond the bare Python is its framework.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cpu import MIB, Memory, command_line, process_cpu_seconds, process_memory, process_tree
from load import closed_loop
from machine import describe_machine
from run import choose
from servers import ServerFailed, running
from targets.base import BENCHMARKS, NotInstalled, Target

SCENARIO = "tiny"
LOAD_SECONDS = 2.0
LOAD_CONCURRENCY = 64
TITLE_LENGTH = 80
# The folders of an absolute path, wherever it stands in a command.
FOLDERS = re.compile(r"(?<![\w.])/(?:[^\s/\"'=,:]+/)+")


@dataclass(frozen=True)
class Process:
    """One process of a server after its load."""

    title: str
    memory: Memory
    beyond_numpy: Memory
    has_numpy: bool
    cpu_seconds: float


@contextmanager
def bare_python(python: Path) -> Iterator[Memory]:
    """The memory of an interpreter that has imported NumPy and does nothing; it lives on meanwhile.

    Alive, it shares the interpreter's pages with the server's processes, as a second server would.
    """
    program = "import sys, numpy; print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen([python, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None, "it says when it is ready through a pipe"
        process.stdout.readline()
        yield process_memory(process.pid)


def has_numpy(pid: int) -> bool:
    return "_multiarray_umath" in Path(f"/proc/{pid}/maps").read_text()


def short_title(command: str) -> str:
    """The beginning of a command, with the folders taken off its paths: they tell the machine, not the process."""
    return FOLDERS.sub("", command).replace("|", "/")[:TITLE_LENGTH]


def weigh(target: Target) -> list[Process]:
    """Start a target, load it, and weigh each of its processes; the busiest first.

    Raises:
        NotInstalled, ServerFailed: it cannot be started.
    """
    with running(target, SCENARIO) as server, bare_python(target.python()) as bare:
        before = {pid: process_cpu_seconds(pid) for pid in process_tree(server.nest)}
        closed_loop(server.dialogue, server.port, concurrency=LOAD_CONCURRENCY, seconds=LOAD_SECONDS)
        processes: list[Process] = []
        for pid in process_tree(server.nest)[1:]:
            try:
                memory = process_memory(pid)
            except ProcessLookupError:
                continue  # ended, and not waited for by its parent
            used = process_cpu_seconds(pid) - before.get(pid, 0.0)
            title = short_title(command_line(pid))
            processes.append(Process(title, memory, memory - bare, has_numpy(pid), used))
    return sorted(processes, key=lambda process: process.cpu_seconds, reverse=True)


def rows(name: str, processes: list[Process]) -> Iterator[str]:
    """The table's rows of one target: its processes, then their sum."""
    for process in processes:
        beyond = " / ".join(f"{part / MIB:+.1f}" for part in _parts(process.beyond_numpy)) if process.has_numpy else ""
        weight = " | ".join(f"{part / MIB:.1f}" for part in _parts(process.memory))
        yield f"| {name} | `{process.title}` | {process.cpu_seconds:.2f} | {weight} | {beyond} |"
    total = sum((process.memory for process in processes), start=Memory(0, 0, 0))
    yield f"| **{name}** | all {len(processes)} | | {' | '.join(f'{part / MIB:.1f}' for part in _parts(total))} | |"


def _parts(memory: Memory) -> tuple[int, int, int]:
    return memory.uss, memory.pss, memory.rss


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--targets", help="comma-separated; all that can play the scenario, if not given")
    parser.add_argument("--results", type=Path, default=BENCHMARKS / "results", help="folder for memory.md")
    options = parser.parse_args()
    lines = [
        "# Memory of each process, MiB",
        "",
        f"Measured on {describe_machine()}, after {LOAD_SECONDS:g} s of {LOAD_CONCURRENCY} requests at once.",
        "Processes with NumPy loaded also show what they hold beyond an interpreter that has only imported it.",
        "",
        "| target | process | CPU s under load | USS | PSS | RSS | beyond NumPy: USS / PSS / RSS |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    failed = False
    try:
        for target in choose(SCENARIO, options.targets):
            try:
                lines += rows(target.name, weigh(target))
            except ServerFailed as error:
                failed = True
                print(error, file=sys.stderr)
    except (NotInstalled, ValueError) as error:
        parser.error(str(error))
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "memory.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

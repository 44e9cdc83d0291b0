"""CPU time and memory of a whole process tree, exactly, from the kernel's own counters.

The tree's root is a process that adopts every orphan below it (see `nest.py`), so that a server's daemons stay in its
tree however they were started.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
MIB = 1024 * 1024

# Fields of /proc/<pid>/stat after the command's closing bracket, which may itself hold spaces and brackets.
PARENT = 1
CHILDREN_USER, CHILDREN_SYSTEM = 13, 14


@dataclass(frozen=True)
class Memory:
    """Bytes of memory, of one process or summed over several.

    Attributes:
        rss: resident; pages shared with other processes count in full in each.
        pss: resident, with shared pages divided among those who share them. The sum over processes is exact.
        uss: resident and private; what would be given back if the process ended.
    """

    rss: int
    pss: int
    uss: int

    def __add__(self, other: Memory) -> Memory:
        return Memory(self.rss + other.rss, self.pss + other.pss, self.uss + other.uss)

    def __sub__(self, other: Memory) -> Memory:
        return Memory(self.rss - other.rss, self.pss - other.pss, self.uss - other.uss)


def _stat(pid: int) -> list[str]:
    text = (PROC / str(pid) / "stat").read_text()
    return text[text.rindex(")") + 2 :].split()


def process_tree(root: int) -> list[int]:
    """The process ids of `root` and all its descendants that live now."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdecimal():
            try:
                children.setdefault(int(_stat(int(entry.name))[PARENT]), []).append(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue  # ended between the listing and the reading
    tree = [root]
    for pid in tree:
        tree.extend(children.get(pid, ()))
    return tree


def process_cpu_seconds(pid: int) -> float:
    """CPU time of one process, all its threads, those that ended included; nanosecond resolution.

    Raises:
        ProcessLookupError: there is no such process.
    """
    try:
        # clock_getcpuclockid(3) in one expression: the id of another process's CPU clock.
        return time.clock_gettime((~pid << 3) | 2)
    except OSError as error:
        raise ProcessLookupError(pid) from error


def tree_cpu_seconds(root: int) -> float:
    """CPU time of a process tree.

    A process that ends passes its time on to the parent that waits for it, so the sum of the living processes' own time
    and of their waited-for children's time never loses any. The latter has the resolution of a clock tick (10 ms).
    """
    total = 0.0
    for pid in process_tree(root):
        try:
            fields = _stat(pid)
            waited_for = int(fields[CHILDREN_USER]) + int(fields[CHILDREN_SYSTEM])
            total += process_cpu_seconds(pid) + waited_for / TICKS_PER_SECOND
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def machine_busy_seconds() -> float:
    """CPU time that all processes of the machine together have used, and that the hypervisor took away."""
    user, nice, system, _idle, _iowait, _irq, _softirq, steal = map(
        int, (PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + steal) / TICKS_PER_SECOND


def process_memory(pid: int) -> Memory:
    """Memory of one process.

    Raises:
        FileNotFoundError, ProcessLookupError: there is no such process, or it ended and only its number is left.
    """
    sizes: dict[str, int] = {}
    for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines()[1:]:
        name, size, _unit = line.split()
        sizes[name] = int(size) * 1024
    return Memory(sizes["Rss:"], sizes["Pss:"], sizes["Private_Clean:"] + sizes["Private_Dirty:"])


def tree_memory(root: int) -> Memory:
    """Memory of a process tree, without its root, which only adopts."""
    total = Memory(0, 0, 0)
    for pid in process_tree(root)[1:]:
        try:
            total += process_memory(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def command_line(pid: int) -> str:
    """The command a process was started with, or the title it gave itself."""
    return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()

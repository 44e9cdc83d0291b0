"""What the figures were measured on: the machine, and the versions of what ran."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path


def describe_machine() -> str:
    """One line: CPU model, cores this process may use, memory, kernel, Python."""
    model = "an unknown CPU"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    cores = len(os.sched_getaffinity(0))
    return f"{model}, {cores} cores, {memory:.0f} GiB, Linux {platform.release()}, Python {platform.python_version()}"


def versions(python: Path, packages: Sequence[str]) -> dict[str, str]:
    """The installed versions of packages in the environment of an interpreter; a missing one is left out."""
    folders = [str(folder) for folder in python.parent.parent.glob("lib/python3*/site-packages")]
    installed = {found.name.lower(): found.version for found in distributions(path=folders)}
    return {package: installed[package] for package in packages if package in installed}

"""The command line ``kapelle``, as people type it in the folder of their project."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.containers.docker import SLOW, DockerFailed, Outcome

KAPELLE = str(Path(sys.executable).with_name("kapelle"))


def kapelle(*words: str, folder: Path, environment: Mapping[str, str] | None = None, timeout: float = SLOW) -> Outcome:
    """What became of a command. ``environment`` leads it to an engine; settings of Kapelle come from the folder alone.

    Raises:
        DockerFailed: it was still running after ``timeout`` seconds.
    """
    found = {key: value for key, value in os.environ.items() if not key.startswith("KAPELLE_")}
    try:
        done = subprocess.run(
            [KAPELLE, *words],
            cwd=folder,
            env={**found, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DockerFailed(f"kapelle {' '.join(words)}: still running after {timeout:g} s") from None
    return Outcome(done.returncode, done.stdout, done.stderr)

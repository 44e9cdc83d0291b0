"""A system that ``kapelle deploy compose`` has brought up from generated files, as people do."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from kapelle.config.engine import container_name
from scripts.steps import ROOT
from tests.containers.command import kapelle
from tests.containers.docker import QUICK, SLOW, Compose, Docker, DockerFailed, Outcome
from tests.containers.events import Event, Events

NOT_COPIED = shutil.ignore_patterns("artifacts", ".artifacts.*", ".kapelle", "__pycache__", "training")

CRASH = """
import os, signal
for each in os.listdir("/proc"):
    if each.isdigit() and int(each) not in (1, os.getpid()):
        os.kill(int(each), signal.SIGKILL)
"""
CALLS = """
import urllib.request
print(urllib.request.urlopen("http://127.0.0.1:7102/metrics").read().decode())
"""


class Deployed:
    """An app on Compose. ``project`` is a copy of the apps, free to be edited; ``options`` go to each deployment."""

    def __init__(self, docker: Docker, project: Path, app: str, port: int, *options: str) -> None:
        shutil.copytree(ROOT / "apps", project / "apps", ignore=NOT_COPIED, dirs_exist_ok=True)
        self.docker = docker
        self.target = f"apps/{app}"
        self.url = f"http://127.0.0.1:{port}"
        self._project = project
        self._options = ("--port", str(port), *options)
        self.files = project / "deploy"
        self.compose = Compose(docker, self.files / "compose.yaml", container_name(app))

    @property
    def code(self) -> Path:
        """The app's file."""
        return self._project / self.target / "app.py"

    def kapelle(self, *arguments: str, timeout: float = QUICK) -> Outcome:
        """Run the command line in the project's folder."""
        return kapelle(*arguments, folder=self._project, environment=self.docker.environment, timeout=timeout)

    def build(self) -> None:
        """Build the images."""
        self._done(self.kapelle("build", self.target, timeout=SLOW))

    def write(self) -> None:
        """Write the files only."""
        self._done(self.kapelle("deploy", "compose", self.target, "--out", "deploy", *self._options))

    def try_up(self) -> Outcome:
        """Start it, or bring it to what the code is now."""
        command = ("deploy", "compose", self.target, "--out", "deploy", "--up", *self._options)
        return self.kapelle(*command, timeout=SLOW)

    def up(self) -> str:
        """The same, to succeed."""
        return self._done(self.try_up())

    def down(self) -> None:
        """Take it away, with all that it has stored."""
        self._done(self.kapelle("down", "compose", self.target, "--out", "deploy", "--volumes", timeout=SLOW))

    def scale(self, **counts: int) -> None:
        """Other numbers of containers, as with plain Compose; those that are new are ready when this returns."""
        numbers = [word for name, count in counts.items() for word in ("--scale", f"{name}={count}")]
        self.compose.up("--no-deps", "--no-recreate", *numbers, *counts)

    def calls(self, container: str) -> int:
        """How many calls a replica has taken."""
        metrics = self.docker.exec(container, "python", "-c", CALLS)
        return int(sum(map(float, re.findall(r"^kapelle_calls_total{.*} (\S+)$", metrics, re.MULTILINE))))

    def crash(self, container: str, *, ready_within: float = 60.0) -> None:
        """Kill its processes as the kernel does when memory is short; returns when the engine has it up again."""
        with Events(self.docker, f"container={container}") as events:
            self.docker.attempt("exec", container, "python", "-c", CRASH)
            events.wait(_did("die"), within=ready_within)
            events.wait(_did("health_status: healthy"), within=ready_within)

    def _done(self, outcome: Outcome) -> str:
        if outcome.status:
            logs = self.compose.logs() if (self.files / "compose.yaml").exists() else ""
            raise DockerFailed(f"kapelle: exit status {outcome.status}\n{outcome.last_lines}\n{logs}")
        return outcome.output


def _did(action: str) -> Callable[[Event], bool]:
    return lambda event: event["Action"] == action

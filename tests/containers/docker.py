"""The docker command line, with a time-out on everything and failures that say what the engine said."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

SHOWN = 40
"""Lines of a failed command's output that its failure shows, the last ones."""
QUICK = 60.0
"""Seconds that a command may take that neither builds nor waits for what a container does."""
SLOW = 300.0

_decode = msgspec.json.Decoder().decode


class DockerFailed(AssertionError):
    """A command failed or did not end; the message has its last lines."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit status, and what it wrote."""

    status: int
    output: str
    errors: str

    @property
    def last_lines(self) -> str:
        """The end of what it wrote, both streams."""
        lines = [*self.output.splitlines(), *self.errors.splitlines()]
        return "\n".join(lines[-SHOWN:])


class Docker:
    """One engine. ``environment`` leads docker, and everything else that asks an engine, to it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment

    def __call__(self, *arguments: str | os.PathLike[str], text: str = "", timeout: float = QUICK) -> str:
        """What ``docker`` with these arguments writes, without white space around; ``text`` is its input.

        Raises:
            DockerFailed: it ended with another status than 0, or not within ``timeout`` seconds.
        """
        outcome = self.attempt(*arguments, text=text, timeout=timeout)
        if outcome.status:
            said = outcome.last_lines or "(nothing was written)"
            raise DockerFailed(f"{_line(arguments)}: exit status {outcome.status}\n{said}")
        return outcome.output.strip()

    def attempt(self, *arguments: str | os.PathLike[str], text: str = "", timeout: float = QUICK) -> Outcome:
        """The same, for a command whose exit status is the question."""
        try:
            done = subprocess.run(
                ["docker", *arguments],
                env=self.environment,
                input=text,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            output, errors = ((each or b"").decode(errors="replace") for each in (late.stdout, late.stderr))
            end = Outcome(-1, output, errors).last_lines
            raise DockerFailed(f"{_line(arguments)}: still running after {timeout:g} s\n{end}") from None
        return Outcome(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str | os.PathLike[str], **streams: Any) -> subprocess.Popen[bytes]:
        """A command that goes on beside the test: the end of a pipe, events, logs that are followed."""
        return subprocess.Popen(["docker", *arguments], env=self.environment, **streams)

    def facts(self, *arguments: str) -> Any:
        """What a command that writes JSON writes (``inspect`` and the like)."""
        return _decode(self(*arguments))

    def records(self, *arguments: str) -> list[dict[str, Any]]:
        """What a command that lists writes, one record for each line."""
        return [_decode(line) for line in self(*arguments, "--format", "json").splitlines()]

    def build(self, context: Path, tag: str, *options: str) -> str:
        """Build an image; the identity of what came out."""
        self("build", "--quiet", "--tag", tag, *options, context, timeout=SLOW)
        return str(self("image", "inspect", "--format", "{{.Id}}", tag))

    def run(self, image: str, *command: str, options: Iterable[str] = ()) -> str:
        """What a command in a new container writes. The container is gone afterwards."""
        return self("run", "--rm", *options, image, *command)

    def exec(self, container: str, *command: str) -> str:
        """What a command in a running container writes."""
        return self("exec", container, *command)

    def has_image(self, tag: str) -> bool:
        """Whether the engine has an image of this name."""
        return not self.attempt("image", "inspect", tag).status

    def address(self, container: str) -> str:
        """Where a container is on its first network."""
        networks = self.facts("inspect", "--format", "{{json .NetworkSettings.Networks}}", container)
        return str(next(iter(networks.values()))["IPAddress"])

    def compose(self, file: Path, *, project: str = "") -> Compose:
        """The application of a Compose file."""
        return Compose(self, file, project or file.parent.name)


class Compose:
    """One Compose project."""

    def __init__(self, docker: Docker, file: Path, project: str) -> None:
        self.docker = docker
        self.project = re.sub(r"[^a-z0-9_-]", "-", project.lower())
        self._start = ("compose", "--file", str(file), "--project-name", self.project, "--progress", "plain")

    def __call__(self, *arguments: str, timeout: float = QUICK) -> str:
        """What ``docker compose`` writes; a failure shows the last lines of the project's logs, too."""
        outcome = self.attempt(*arguments, timeout=timeout)
        if outcome.status:
            raise DockerFailed(
                f"{_line([*self._start, *arguments])}: exit status {outcome.status}\n{outcome.last_lines}\n{self.logs()}"
            )
        return outcome.output.strip()

    def attempt(self, *arguments: str, timeout: float = QUICK) -> Outcome:
        """The same, for a command whose exit status is the question."""
        return self.docker.attempt(*self._start, *arguments, timeout=timeout)

    def up(self, *options: str, timeout: float = SLOW) -> None:
        """Bring it up, and wait until every container is healthy."""
        self("up", "--detach", "--wait", *options, timeout=timeout)

    def run_to(self, service: str, timeout: float = SLOW) -> Outcome:
        """Bring it up until a container ends; the outcome has the exit status of that service's."""
        return self.attempt("up", "--abort-on-container-exit", "--exit-code-from", service, timeout=timeout)

    def containers(self, service: str = "") -> list[str]:
        """The identities of the running containers, of one service or of all."""
        return self("ps", "--quiet", *([service] if service else [])).split()

    def logs(self, *services: str) -> str:
        """The last lines that the containers wrote."""
        return self.attempt("logs", "--no-color", "--tail", str(SHOWN), *services).last_lines

    def down(self) -> None:
        """Take all of it away, volumes and containers of services that the file no longer names included."""
        self("down", "--volumes", "--remove-orphans", "--timeout", "50", timeout=SLOW)


def _line(arguments: Iterable[str | os.PathLike[str]]) -> str:
    return shlex.join(["docker", *(os.fspath(each) for each in arguments)])

"""The Docker command line: whether it is there, whether its engine answers and is new enough, and what it is told."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress

from kapelle.errors import DeployError

OLDEST = (20, 10)
"""The first engine that knows what our Dockerfiles ask for: cache and secret mounts without a frontend from a registry."""
_PATIENCE = 60.0
"""Seconds for a question that an engine answers from memory."""


class Docker:
    """An engine that answers, by way of its command line.

    Raises:
        DeployError: the command is not there, no engine answers, or it is too old.
    """

    def __init__(self) -> None:
        found = shutil.which("docker")
        if found is None:
            raise DeployError(
                "docker is not to be found on PATH; install Docker Engine or Docker Desktop (https://docs.docker.com/engine/"
                "install), or write the files with --only-write and build them where it is"
            )
        self._command = found
        self.version = self.ask("version", "--format", "{{.Server.Version}}").strip()
        number = tuple(map(int, re.findall(r"\d+", self.version)[:2]))
        if number < OLDEST:
            raise DeployError(
                f"the Docker engine has version {self.version}; expected {'.'.join(map(str, OLDEST))} or newer, which can "
                "mount caches and secrets in a build: update it"
            )

    def ask(self, *arguments: str) -> str:
        """What a command prints.

        Raises:
            DeployError: it failed; the message is what it said, and the next step where we know one.
        """
        try:
            done = subprocess.run(  # noqa: S603 - docker itself, with arguments that are ours
                [self._command, *arguments], capture_output=True, text=True, timeout=_PATIENCE, check=False
            )
        except subprocess.TimeoutExpired:
            raise DeployError(
                f"`docker {arguments[0]}` has not ended after {_PATIENCE:g} s; is the Docker engine healthy? Restart it"
            ) from None
        if done.returncode:
            raise DeployError(reason(done.stderr or done.stdout, arguments[0]))
        return done.stdout

    def has(self, image: str) -> bool:
        """Whether the engine has an image."""
        with suppress(DeployError):
            return bool(self.ask("image", "inspect", "--format", "{{.Id}}", image).strip())
        return False

    def lines(self, arguments: Sequence[str]) -> Iterator[str]:
        """Run a command for as long as it takes, and yield its lines as they come, from both streams.

        Raises:
            DeployError: it failed. However this is left, the command has ended.
        """
        # Engines before 23 build with the old builder unless they are told.
        environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
        said: list[str] = []
        with subprocess.Popen(  # noqa: S603 - docker itself, with arguments that are ours
            [self._command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
            errors="replace",
        ) as process:  # fmt: skip
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    said = [*said[-_KEPT:], line]
                    yield line.rstrip()
            except BaseException:
                process.terminate()
                raise
        if process.returncode:
            raise DeployError(reason("".join(said), arguments[0]))


_KEPT = 60
"""Lines of a failed command that its reason is looked for in."""
_KNOWN = (
    # Before that of the engine: a registry may have no host, and refuse connections, too.
    (
        r"(failed to resolve source metadata|pull access denied|failed to do request|manifest unknown).*",
        "the base image cannot be fetched: check the network and the registry, or `docker pull` or tag it before",
    ),
    (
        r"cannot connect to the docker daemon|is the docker daemon running|no such host|connection refused",
        "no Docker engine answers: start it (`systemctl start docker`, or open Docker Desktop), or point DOCKER_HOST to one",
    ),
    (
        r"permission denied.*docker.*sock|docker.*sock.*permission denied",
        "you may not talk to the Docker engine: add yourself to the group docker and log in again, or use a rootless engine",
    ),
    (
        r"unknown flag: --progress|buildkit.*not supported|requires buildkit|buildx.*(missing|not found)",
        "this Docker builds without BuildKit: update it, or install the plugin docker-buildx",
    ),
    (
        r"no space left on device",
        "the disk of the Docker engine is full: `docker system df` says with what, `docker system prune` makes room",
    ),
)


def reason(said: str, verb: str) -> str:
    """Why a command failed, from what it said: the next step where it is known, and its own last words."""
    errors = [line.strip() for line in said.splitlines() if re.match(r"\s*(error|ERROR|failed)", line, re.IGNORECASE)]
    last = (errors or [line.strip() for line in said.splitlines() if line.strip()] or ["it said nothing"])[-1]
    for pattern, step in _KNOWN:
        if re.search(pattern, said, re.IGNORECASE):
            return f"{step} (docker {verb}: {last})"
    return f"docker {verb} failed: {last}"

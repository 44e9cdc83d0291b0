"""The Docker command line: what it is asked, what it does for long, and the next step where it fails."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence

from kapelle.deploy.programs import Program
from kapelle.errors import DeployError


class Docker(Program):
    """An engine, by way of its command line."""

    def __init__(self) -> None:
        super().__init__(
            "docker",
            "install Docker Engine 25 or later (https://docs.docker.com/engine/install) or Docker Desktop, or have the files "
            "written only (`kapelle build --only-write`, `kapelle deploy` without --up) and use them where it is",
        )

    def has(self, image: str) -> bool:
        """Whether the engine has an image.

        Raises:
            DeployError: docker is missing or takes too long.
        """
        return self.succeeds("image", "inspect", "--format", "{{.Id}}", image)

    def lines(self, *arguments: str) -> Iterator[str]:
        """Run a command for as long as it takes, and yield its lines as they come, from both streams.

        Raises:
            DeployError: it failed. However this is left, the command has ended.
        """
        # Engines before 23 build with the old builder unless they are told.
        environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
        said: list[str] = []
        with subprocess.Popen(  # noqa: S603 - docker itself, with arguments that are ours
            [self.path(), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", env=environment,
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
            raise self.failure(arguments, "".join(said))

    def failure(self, arguments: Sequence[str], said: str) -> DeployError:
        """That a command failed: the next step where it is known, and of all that was said the errors, if any."""
        errors = "\n".join(line for line in said.splitlines() if re.match(r"\s*(error|failed)", line, re.IGNORECASE))
        plain = super().failure(arguments, errors or said)
        step = next((step for pattern, step in _KNOWN if re.search(pattern, said, re.IGNORECASE)), None)
        return plain if step is None else DeployError(f"{step}. {plain.detail}")


_KEPT = 60
"""Lines of a command that its reason is looked for in when it fails."""
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

"""Containers of a Compose project as they are, and which of them an update keeps, makes and takes away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kapelle.deploy.programs import Program, last_lines
from kapelle.errors import DeployError

_PROJECT, _SERVICE = "com.docker.compose.project", "com.docker.compose.service"
_HASH, _NUMBER = "com.docker.compose.config-hash", "com.docker.compose.container-number"
_CRASHES = 3
"""Restarts after which a container that was never ready counts as broken."""
_LOG_LINES = "20"


@dataclass(frozen=True, slots=True)
class Container:
    """A container; ``setup`` is a digest of what its service was when it was made. ``exit_code`` is that of its last run."""

    id: str
    name: str
    service: str
    setup: str
    number: int
    state: str
    health: str
    restarts: int
    exit_code: int

    @property
    def ready(self) -> bool:
        """Whether it serves; one without a health check does when it runs."""
        return self.state == "running" and self.health in ("healthy", "")

    @property
    def failed(self) -> bool:
        """Whether nothing good can be expected of it any more."""
        return self.health == "unhealthy" or self.state in ("exited", "dead") or self.restarts >= _CRASHES


@dataclass(frozen=True, slots=True)
class Change:
    """What an update does to the containers of a service: ``old`` go when as many new ones are there as ``total`` says.

    ``total`` counts the old ones, too: it is what Compose is told while both are there.
    """

    keep: tuple[Container, ...]
    old: tuple[Container, ...]
    missing: int

    @property
    def total(self) -> int:
        """How many there are at the height of the update."""
        return len(self.keep) + len(self.old) + self.missing


def change(found: Sequence[Container], setup: str, count: int) -> Change:
    """The way to ``count`` containers of this setup: those that fit stay, the lowest numbers first."""
    fitting = sorted((one for one in found if one.setup == setup and one.ready), key=lambda one: one.number)
    keep = tuple(fitting[:count])
    kept = {one.id for one in keep}
    return Change(keep, tuple(one for one in found if one.id not in kept), count - len(keep))


class Project:
    """The containers of a Compose project, by its name; ``folder`` has its files."""

    def __init__(self, docker: Program, name: str, folder: Path) -> None:
        self._docker = docker
        self.name = name
        self.folder = folder

    def compose(self, *arguments: str) -> str:
        """Run ``docker compose`` for it.

        Raises:
            DeployError: that fails.
        """
        words = ["compose", "--project-name", self.name, *arguments]
        return self._docker.run(*words, folder=self.folder if self.folder.is_dir() else None)

    def containers(self, *services: str) -> list[Container]:
        """Those of some services, or of all; those that have ended are among them."""
        ids = self._docker.run(
            "ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={_PROJECT}={self.name}"
        ).split()
        found = [_container(one) for one in self._docker.records("inspect", *ids)] if ids else []
        return [one for one in found if not services or one.service in services]

    def setups(self) -> dict[str, str]:
        """What each service is now, as a digest."""
        lines = self.compose("config", "--hash", "*").splitlines()
        pairs = (line.split() for line in lines)
        return {pair[0]: pair[1] for pair in pairs}

    def create(self, totals: Mapping[str, int]) -> None:
        """Bring services to these numbers of containers; those that are there stay as they are, the new do not run yet."""
        scale = [word for service, total in totals.items() for word in ("--scale", f"{service}={total}")]
        self.compose("create", "--no-build", "--no-recreate", *scale, *totals)

    def start(self, containers: Sequence[Container]) -> None:
        """Start containers."""
        if containers:
            self._docker.run("start", *(one.id for one in containers))

    def remove(self, containers: Sequence[Container]) -> None:
        """Let containers finish what they do, and remove them."""
        if containers:
            ids = [one.id for one in containers]
            self._docker.run("stop", *ids)
            self._docker.run("rm", "--force", *ids)

    def halt(self, containers: Sequence[Container]) -> None:
        """Let containers finish what they do; they can be started again."""
        if containers:
            self._docker.run("stop", *(one.id for one in containers))

    def why(self, container: Container) -> DeployError:
        """What to say of a container that failed."""
        log = self._docker.log("logs", "--tail", _LOG_LINES, container.id)
        ended = f"ended with {container.exit_code}" if container.state != "running" else "is not ready"
        return DeployError(f"{container.name} {ended}; its log ends with: {last_lines(log)}")

    def volumes(self) -> list[str]:
        """The names of its volumes."""
        return self._docker.run("volume", "ls", "--quiet", "--filter", f"label={_PROJECT}={self.name}").split()

    def networks(self) -> list[str]:
        """The names of its networks."""
        shown = self._docker.run("network", "ls", "--format", "{{.Name}}", "--filter", f"label={_PROJECT}={self.name}")
        return shown.split()


def _container(about: Mapping[str, Any]) -> Container:
    labels, state = about["Config"]["Labels"], about["State"]
    return Container(
        id=about["Id"], name=about["Name"].removeprefix("/"), service=labels.get(_SERVICE, ""),
        setup=labels.get(_HASH, ""), number=int(labels.get(_NUMBER, 0)), state=state["Status"],
        health=(state.get("Health") or {}).get("Status", ""), restarts=about.get("RestartCount", 0),
        exit_code=state.get("ExitCode", 0),
    )  # fmt: skip

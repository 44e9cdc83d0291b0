"""A Docker that remembers containers and does as it is told: what a deployment asks for, without an engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kapelle.deploy.programs import Program
from kapelle.errors import DeployError


@dataclass
class Made:
    """A container of the engine."""

    id: str
    service: str
    setup: str
    number: int
    state: str = "created"
    health: str = ""
    restarts: int = 0
    exit_code: int = 0

    def about(self) -> dict[str, Any]:
        """As ``docker inspect`` tells it."""
        labels = {
            "com.docker.compose.service": self.service, "com.docker.compose.config-hash": self.setup,
            "com.docker.compose.container-number": str(self.number),
        }  # fmt: skip
        return {
            "Id": self.id, "Name": f"/search-{self.service}-{self.number}", "RestartCount": self.restarts,
            "Config": {"Labels": labels},
            "State": {"Status": self.state, "Health": {"Status": self.health}, "ExitCode": self.exit_code},
        }  # fmt: skip


@dataclass
class Engine(Program):
    """``setups`` are the services as the files have them; ``broken`` ones never become ready; ``did`` is what was done."""

    setups: dict[str, str]
    broken: set[str] = field(default_factory=set)
    containers: dict[str, Made] = field(default_factory=dict)
    volumes: set[str] = field(default_factory=set)
    did: list[str] = field(default_factory=list)
    on_start: Callable[[Made], None] | None = None

    # A table of commands, long as it is.
    def run(self, *arguments: str, folder: Path | None = None, timeout: float = 0.0) -> str:  # noqa: C901, PLR0911, PLR0912
        match arguments:
            case ["compose", "--project-name", _, *words]:
                return self._compose(words)
            case ["ps", *_]:
                return "\n".join(self.containers)
            case ["inspect", *ids]:
                return json.dumps([self.containers[one].about() for one in ids])
            case ["start", *ids]:
                for one in ids:
                    self._start(self.containers[one])
            case ["stop", *ids]:
                self._did("stop", ids)
                for one in ids:
                    self.containers[one].state = "exited"
            case ["rm", "--force", *ids]:
                self._did("rm", ids)
                for one in ids:
                    del self.containers[one]
            case ["logs", *_]:
                return "ValueError: no such model\n"
            case ["volume", "ls", *_]:
                return "\n".join(sorted(self.volumes))
            case ["network", "ls", *_]:
                return "search_peers\n"
            case _:
                raise AssertionError(f"an engine is not asked {arguments}")
        return ""

    def of(self, service: str) -> list[Made]:
        """The containers of a service."""
        return [one for one in self.containers.values() if one.service == service]

    def _compose(self, words: list[str]) -> str:
        match words:
            case ["config", "--hash", "*"]:
                return "\n".join(f"{name} {setup}" for name, setup in self.setups.items())
            case ["create", "--no-build", "--no-recreate", *rest]:
                for word, scale in zip(rest[::2], rest[1::2], strict=False):
                    if word == "--scale":
                        name, _, total = scale.partition("=")
                        while len(self.of(name)) < int(total):
                            self._make(name)
            case ["up", "--detach", "--no-deps", "--no-build", *services]:
                self.volumes |= {"search_store", "search_cache"}
                for name in services:
                    self._up(name)
            case [*_, "down", "--remove-orphans"] | [*_, "down", "--remove-orphans", "--volumes"]:
                self.did.append("down" + (" with volumes" if words[-1] == "--volumes" else ""))
                self.containers.clear()
                if words[-1] == "--volumes":
                    self.volumes.clear()
            case _:
                raise AssertionError(f"Compose is not told {words}")
        return ""

    def _up(self, name: str) -> None:
        found = self.of(name)
        if found and found[0].setup != self.setups[name]:
            self.run("rm", "--force", found[0].id)
            found = []
        self._start(found[0] if found else self._make(name))

    def _make(self, service: str) -> Made:
        number = 1 + max((one.number for one in self.of(service)), default=0)
        made = Made(f"{service}-{number}-{self.setups[service]}", service, self.setups[service], number)
        self.containers[made.id] = made
        return made

    def _start(self, made: Made) -> None:
        self._did("start", [made.id])
        if self.on_start is not None:
            self.on_start(made)
        if made.service == "release" and "release" in self.broken:
            made.state, made.exit_code = "exited", 1
        elif f"{made.service} {made.setup}" in self.broken:
            made.state, made.health, made.restarts = "restarting", "starting", 3
        else:
            made.state, made.health = "running", "healthy"

    def _did(self, verb: str, ids: list[str]) -> None:
        self.did += [f"{verb} {one}" for one in ids]

    def log(self, *arguments: str) -> str:
        return self.run(*arguments)


class Failing(Program):
    """A program whose every command fails, with these words."""

    def __init__(self, words: str) -> None:
        super().__init__("docker", "install it")
        self._words = words

    def run(self, *arguments: str, folder: Path | None = None, timeout: float = 0.0) -> str:
        raise DeployError(self._words)

    def succeeds(self, *arguments: str, timeout: float = 0.0) -> bool:
        return False


class Answering(Program):
    """A program that answers each command by its first words, and remembers all of them."""

    def __init__(self, answers: dict[str, str]) -> None:
        super().__init__("docker", "install it")
        self.answers = answers
        self.asked: list[str] = []

    def run(self, *arguments: str, folder: Path | None = None, timeout: float = 0.0) -> str:
        line = " ".join(arguments)
        self.asked.append(line)
        for begin, answer in self.answers.items():
            if line.startswith(begin):
                if answer.startswith("fails:"):
                    raise DeployError(answer.removeprefix("fails:"))
                return answer
        return ""

    def log(self, *arguments: str) -> str:
        try:
            return self.run(*arguments)
        except DeployError:
            return ""

    def succeeds(self, *arguments: str, timeout: float = 0.0) -> bool:
        try:
            self.run(*arguments)
        except DeployError:
            return False
        return True

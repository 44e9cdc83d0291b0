"""Starting and updating a system on a swarm, which does the work; we watch, and say what went wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kapelle.deploy.programs import Program, Say, last_lines
from kapelle.deploy.swarm import STACK, VERSIONS
from kapelle.deploy.topology import Role, Topology
from kapelle.errors import DeployError

_STACK = "com.docker.stack.namespace"
_PAUSE = 1.0
_REMOVAL = 300.0
"""Seconds for containers to drain, and networks to go after them."""
_FAILURES = 3
"""Tasks of a service that may fail before the first one serves."""
_LOG_LINES = "20"
_BAD_UPDATES = ("paused", "rollback_started", "rollback_paused", "rollback_completed")
_BUSY_UPDATES = ("updating", *_BAD_UPDATES[1:2])


@dataclass(frozen=True, slots=True)
class Service:
    """A service of the stack: how many of its tasks run, how many are wanted, and where its update is."""

    name: str
    running: int
    wanted: int
    completed: int
    update: str
    message: str
    is_job: bool

    @property
    def settled(self) -> bool:
        """Whether all of it is as it was asked for."""
        if self.is_job:
            return self.completed >= self.wanted
        return self.running >= self.wanted and self.update not in _BUSY_UPDATES


class Stack:
    """The services of a stack, by its name; ``folder`` has its files."""

    def __init__(self, docker: Program, name: str, folder: Path) -> None:
        self._docker = docker
        self.name = name
        self.folder = folder

    def deploy(self, *, from_registry: bool) -> None:
        """Hand the files to the swarm; it goes on by itself.

        Raises:
            DeployError: it refuses.
        """
        source = ["--with-registry-auth", "--resolve-image", "always" if from_registry else "never"]
        # Without a registry, no machine need ask one for the image that it has.
        self._docker.run(
            "stack", "deploy", *source, "--detach=true", "--prune", "-c", STACK, "-c", VERSIONS, self.name,
            folder=self.folder,
        )  # fmt: skip

    def services(self) -> list[Service]:
        """All services as they are."""
        ids = self._docker.run("service", "ls", "--quiet", "--filter", f"label={_STACK}={self.name}").split()
        if not ids:
            return []
        tasks = self._docker.records(
            "service", "ls", "--filter", f"label={_STACK}={self.name}", "--format", "{{json .}}"
        )
        counts = {one["Name"]: one["Replicas"] for one in tasks}
        return [_service(one, counts) for one in self._docker.records("service", "inspect", *ids)]

    def failures(self, service: Service) -> list[str]:
        """Why tasks of a service have ended, newest first."""
        tasks = self._docker.records("service", "ps", "--no-trunc", "--format", "{{json .}}", service.name)
        return [one["Error"] for one in tasks if one["CurrentState"].startswith(("Failed", "Rejected"))]

    def waiting(self, service: Service) -> str:
        """Why a task of a service has no machine; empty when each has."""
        tasks = self._docker.records("service", "ps", "--no-trunc", "--format", "{{json .}}", service.name)
        found = [one["Error"] for one in tasks if one["CurrentState"].startswith("Pending") and one["Error"]]
        return found[0] if found else ""

    def log(self, service: Service) -> str:
        """The end of a service's log; empty where no machine gives it."""
        return self._docker.log("service", "logs", "--raw", "--tail", _LOG_LINES, service.name)

    def remove(self, pause: Callable[[float], None] = time.sleep) -> list[str]:
        """Remove all of it; returns what there was, when this machine has nothing of it any more."""
        shown = [f"service {one.name}" for one in self.services()]
        self._docker.run("stack", "rm", self.name)
        # Docker's own wait does not end where a job was among the services.
        for _ in range(round(_REMOVAL / _PAUSE)):
            if not self._left():
                return shown
            pause(_PAUSE)
        raise DeployError(
            f"{self.name} is not gone after {_REMOVAL:g} s: {self._left()} is still there; look with docker ps"
        )

    def _left(self) -> str:
        """A container or network of it on this machine; empty where there is none."""
        mine = ["--filter", f"label={_STACK}={self.name}"]
        found = self._docker.run("ps", "--all", "--format", "{{.Names}}", *mine).split()
        found += self._docker.run("network", "ls", "--format", "{{.Name}}", *mine).split()
        return found[0] if found else ""

    def volumes(self) -> list[str]:
        """The names of its volumes on this machine."""
        return self._docker.run("volume", "ls", "--quiet", "--filter", f"label={_STACK}={self.name}").split()

    def remove_volumes(self) -> list[str]:
        """Remove its volumes from this machine; returns which."""
        found = self.volumes()
        if found:
            self._docker.run("volume", "rm", *found)
        return found


def up(
    stack: Stack, system: Topology, say: Say, *, from_registry: bool, pause: Callable[[float], None] = time.sleep
) -> None:
    """Deploy a stack, and wait until all of it serves.

    Raises:
        DeployError: it does not. An update has gone back by itself; a first deployment is taken away again.
    """
    first = not stack.services()
    say("starting" if first else "updating, one container at a time")
    stack.deploy(from_registry=from_registry)
    try:
        _watch(stack, system, say, pause, first=first)
    except (DeployError, KeyboardInterrupt):
        if first:
            say("taking away what was started")
            stack.remove()
        raise


def _watch(stack: Stack, system: Topology, say: Say, pause: Callable[[float], None], *, first: bool) -> None:
    told: set[str] = set()
    containers = sum(part.count for part in system.of(Role.REPLICA, Role.GATEWAY, Role.CONTROLLER))
    # One after the other, in the worst case.
    patience = (system.patience + system.grace) * (1 if first else containers)
    services = stack.services()
    for _ in range(round(patience / _PAUSE)):
        for one in services:
            if one.settled and one.name not in told:
                told.add(one.name)
                say(f"{one.name.removeprefix(stack.name + '_')}: ready")
            elif not one.settled:
                _check(stack, one, first=first)
        if all(one.settled for one in services):
            return _check_updates(stack, services)
        pause(_PAUSE)
        services = stack.services()
    late = next(one for one in services if not one.settled)
    raise DeployError(f"{late.name} is not ready after {patience} s: {_reason(stack, late)}")


def _check(stack: Stack, service: Service, *, first: bool) -> None:
    """Give a service up that only fails."""
    if not first and not service.is_job:
        return  # the swarm itself goes back
    if len(stack.failures(service)) >= _FAILURES:
        raise DeployError(f"{service.name} fails: {_reason(stack, service)}")


def _check_updates(stack: Stack, services: list[Service]) -> None:
    """An update that went back is none that went well, though all of it serves."""
    bad = next((one for one in services if one.update in _BAD_UPDATES), None)
    if bad is not None:
        raise DeployError(
            f"the update of {bad.name} was not kept ({bad.message}); what ran before serves on. {_reason(stack, bad)}"
        )


def _reason(stack: Stack, service: Service) -> str:
    why = next(iter(stack.failures(service)), "") or stack.waiting(service)
    log = stack.log(service)
    return f"{why or 'no task of it has failed'}; its log ends with: {last_lines(log)}"


def _service(about: Mapping[str, Any], counts: Mapping[str, str]) -> Service:
    name = about["Spec"]["Name"]
    # "2/3", "1/1 (max 1 per node)"; of a job "0/1 (1/1 completed)".
    shown, _, rest = counts.get(name, "0/1").partition(" ")
    running, _, wanted = shown.partition("/")
    is_job = "completed" in rest
    done = rest.strip("()").partition("/")[0] if is_job else "0"
    update = about.get("UpdateStatus") or {}
    return Service(
        name=name, running=int(running), wanted=int(wanted), completed=int(done or 0),
        update=update.get("State", ""), message=update.get("Message", ""), is_job=is_job,
    )  # fmt: skip


def check_machines(docker: Program, system: Topology) -> None:
    """There is a machine for each copy of a shard.

    Raises:
        DeployError: there are fewer.
    """
    nodes = docker.records("node", "ls", "--format", "{{json .}}")
    ready = sum(one["Status"] == "Ready" and one["Availability"] == "Active" for one in nodes)
    for part in system.of(Role.REPLICA):
        if part.copies and part.count > max(ready, 1):
            raise DeployError(
                f"{part.name} has {part.count} copies, each for a machine of its own, and the swarm has {ready} that are "
                f"ready; add machines, or take fewer copies with --scale {part.name}={max(ready, 1)}"
            )

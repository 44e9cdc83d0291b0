"""Starting a system on Compose, and updating it: the new containers beside the old ones, which drain when those are ready."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from kapelle.deploy.containers import Change, Container, Project, change
from kapelle.deploy.programs import Say
from kapelle.deploy.topology import Role, Topology
from kapelle.errors import DeployError

_PAUSE = 0.5
"""Seconds between two looks at containers that start."""


class Deployment:
    """One run of ``kapelle deploy compose --up``."""

    def __init__(
        self, project: Project, system: Topology, say: Say, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._project = project
        self._system = system
        self._say = say
        self._pause = pause

    def up(self, *, observe: bool) -> None:
        """Bring what runs to what the files say.

        Raises:
            DeployError: a container does not become ready. What was started is taken away again; what ran before serves
                on as it was.
        """
        project = self._project
        first = not project.containers()
        volumes = set(project.volumes())
        try:
            self._release()
            self._once("door")
            self._replace()
            if observe:
                project.compose("up", "--detach", "--no-deps", "--no-build", "prometheus", "grafana")
        except (DeployError, KeyboardInterrupt):
            if first:
                self._say("taking away what was started")
                new = set(project.volumes()) - volumes
                project.compose("down", "--remove-orphans", *(["--volumes"] if new and not volumes else []))
            raise
        self._remove_others(observe=observe)

    def _release(self) -> None:
        """Wait for the first release."""
        [part] = self._system.of(Role.RELEASE)
        self._say("making the first release, where there is none")
        self._project.compose("up", "--detach", "--no-deps", "--no-build", part.name)
        while True:
            [job] = self._project.containers(part.name)
            if job.ready:
                break
            if job.failed:
                raise self._project.why(job)
            self._pause(_PAUSE)

    def _once(self, name: str) -> None:
        """What there is one of, replaced only when it is another one now."""
        before = {one.id for one in self._project.containers(name)}
        self._project.compose("up", "--detach", "--no-deps", "--no-build", name)
        after = self._project.containers(name)
        if before and {one.id for one in after} != before:
            self._say(f"{name} was replaced: it is of another version of Kapelle")
        self._wait(after)

    def _replace(self) -> None:
        """Bring all others to what they are to be."""
        setups = self._project.setups()
        counts = {part.name: part.count for part in self._system.of(Role.CONTROLLER, Role.REPLICA, Role.GATEWAY)}
        found = self._project.containers(*counts)
        changes = {
            name: change([one for one in found if one.service == name], setups[name], count)
            for name, count in counts.items()
        }
        self._begin(changes, {one.id for one in found})
        self._drain(changes)

    def _begin(self, changes: dict[str, Change], known: set[str]) -> None:
        """Start what is missing beside what is there, and wait until it is ready."""
        wanted = {name: one.total for name, one in changes.items() if one.missing}
        if not wanted:
            return
        for name, one in changes.items():
            if one.missing:
                self._say(f"starting {one.missing} of {name}" + (f" beside {len(one.old)}" if one.old else ""))
        resting = changes["controller"].old if "controller" in wanted else ()
        try:
            self._project.create(wanted)
            # Two controllers would each publish; the data plane needs none for a moment.
            self._project.halt(resting)
            new = [one for one in self._project.containers(*wanted) if one.id not in known]
            self._project.start(new)
            self._wait(new)
        except (DeployError, KeyboardInterrupt):
            self._undo(wanted, known, resting)
            raise

    def _undo(self, wanted: Iterable[str], known: set[str], resting: Sequence[Container]) -> None:
        self._say("going back to what ran before" if known else "ending what was started")
        with suppress(DeployError):  # what went wrong first is what is told
            self._project.remove([one for one in self._project.containers(*wanted) if one.id not in known])
            self._project.start(resting)

    def _drain(self, changes: dict[str, Change]) -> None:
        """Gateways first: from then on nobody asks the old replicas."""
        roles = (Role.GATEWAY, Role.CONTROLLER, Role.REPLICA)
        for name in (part.name for role in roles for part in self._system.of(role)):
            old = changes[name].old
            if old:
                self._say(f"draining {len(old)} of {name}")
                self._project.remove(old)

    def _wait(self, containers: Sequence[Container]) -> None:
        """Wait until all of these are ready."""
        ids = {one.id for one in containers}
        patience = self._system.patience + self._system.grace
        for _ in range(round(patience / _PAUSE)):
            found = [one for one in self._project.containers() if one.id in ids]
            failed = next((one for one in found if one.failed), None)
            if failed is not None:
                raise self._project.why(failed)
            if all(one.ready for one in found):
                return
            self._pause(_PAUSE)
        late = next(one for one in self._project.containers() if one.id in ids and not one.ready)
        raise self._project.why(late)

    def _remove_others(self, *, observe: bool) -> None:
        """Containers of services that are no more."""
        named = {part.name for part in self._system.parts} | ({"prometheus", "grafana"} if observe else set())
        others = [one for one in self._project.containers() if one.service not in named]
        if others:
            self._say(f"removing {', '.join(sorted(one.name for one in others))}")
            self._project.remove(others)


def down(project: Project, *, volumes: bool) -> list[str]:
    """Take a system away; returns what was removed.

    Raises:
        DeployError: the engine refuses.
    """
    before = [f"container {one.name}" for one in project.containers()] + [
        f"network {one}" for one in project.networks()
    ]
    kept = project.volumes()
    project.compose("down", "--remove-orphans", *(["--volumes"] if volumes else []))
    return [*before, *([f"volume {one}" for one in kept] if volumes else [])]

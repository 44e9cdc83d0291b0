"""What ``kapelle down`` does: takes a system away from its engine, and says what that was."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from kapelle.cli.project import Project
from kapelle.config.engine import container_name
from kapelle.deploy import compose_up, preflight, secrets, swarm_up
from kapelle.deploy.containers import Project as Containers
from kapelle.deploy.docker import Docker
from kapelle.deploy.kubernetes.files import BASE, COMPONENTS
from kapelle.deploy.kubernetes.up import Cluster
from kapelle.deploy.programs import kubectl


def down_from_compose(target: str, out: str, *, volumes: bool) -> int:
    """``kapelle down compose``; the exit status."""
    name, folder, engine = _name(target), Path(out), Docker()
    preflight.check_engine(engine)
    preflight.check_compose(engine)
    removed = compose_up.down(Containers(engine, name, folder), volumes=volumes)
    _tell(name, removed, [folder] if volumes else [])
    return 0


def down_from_swarm(target: str, out: str, *, volumes: bool) -> int:
    """``kapelle down swarm``; the exit status."""
    name, folder, engine = _name(target), Path(out), Docker()
    preflight.check_engine(engine)
    preflight.check_swarm(engine)
    stack = swarm_up.Stack(engine, name, folder)
    removed = stack.remove()
    if volumes:
        removed += [f"volume {one}" for one in stack.remove_volumes()]
    _tell(name, removed, [folder] if volumes else [])
    if volumes:
        print(f"volumes of other machines stay: docker volume rm {name}_cache {name}_door, on each of them")
    return 0


def down_from_kubernetes(target: str, out: str, *, volumes: bool) -> int:
    """``kapelle down kubernetes``; the exit status."""
    name, folder, program = _name(target), Path(out), kubectl()
    preflight.check_cluster(program)
    removed = Cluster(program, name).remove(volumes=volumes)
    _tell(name, removed, [folder / BASE, folder / COMPONENTS / "observe"] if volumes else [])
    return 0


def _name(target: str) -> str:
    return container_name(Project(target, {}).load().name)


def _tell(name: str, removed: Sequence[str], secret: Sequence[Path]) -> None:
    gone = [os.path.relpath(path) for folder in secret for path in secrets.remove_secrets(folder)]
    for one in [*removed, *(f"secret {path}" for path in gone)]:
        print(f"removed {one}")
    if not removed:
        print(f"nothing of {name} was there")

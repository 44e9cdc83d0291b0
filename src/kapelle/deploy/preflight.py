"""What is looked at before anything is started: the engine, the port, the room on the disk."""

from __future__ import annotations

import errno
import re
import shutil
import socket
from pathlib import Path

from kapelle.deploy.programs import Program
from kapelle.errors import DeployError

ENGINE, COMPOSE = (25, 0), (2, 20)
"""The oldest versions that know all that the files of Compose and Swarm say."""
BUILDER = (20, 10)
"""The first engine that knows what our Dockerfiles ask for: cache and secret mounts without a frontend from a registry."""
MARGIN = 2 << 30
"""Bytes that images, logs and caches take besides what is counted."""
_NUMBERS = re.compile(r"(\d+)\.(\d+)")
_ASKING = 30.0


def check_engine(docker: Program, oldest: tuple[int, int] = ENGINE) -> str:
    """Docker is there, runs and is young enough; its version.

    Raises:
        DeployError: it is not; the message says what to do.
    """
    found = docker.run("version", "--format", "{{.Server.Version}}", timeout=_ASKING).strip()
    _check_version("the Docker engine", found, oldest, "https://docs.docker.com/engine/install")
    return found


def check_compose(docker: Program) -> None:
    """Compose is there and young enough.

    Raises:
        DeployError: it is not.
    """
    if not docker.succeeds("compose", "version", timeout=_ASKING):
        raise DeployError("docker has no compose; install its plugin: https://docs.docker.com/compose/install")
    found = docker.run("compose", "version", "--short", timeout=_ASKING).strip()
    _check_version("Docker Compose", found, COMPOSE, "https://docs.docker.com/compose/install")


def check_swarm(docker: Program) -> None:
    """This machine is a manager of a swarm.

    Raises:
        DeployError: it is not.
    """
    state = docker.run("info", "--format", "{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}", timeout=_ASKING)
    match state.split():
        case ["active", "true"]:
            return
        case ["active", _]:
            raise DeployError("this machine is a worker of its swarm; deploy from a manager, such as with DOCKER_HOST")
    raise DeployError("this machine is in no swarm; `docker swarm init` begins one, `docker swarm join` enters one")


def check_cluster(kubectl: Program) -> None:
    """There is a cluster, and it answers.

    Raises:
        DeployError: it does not.
    """
    try:
        kubectl.run("get", "--raw", "/version", "--request-timeout=15s", timeout=_ASKING)
    except DeployError as error:
        if "there is no" in error.detail:
            raise
        raise DeployError(
            f"no cluster answers; name one with KUBECONFIG or `kubectl config use-context`. {error.detail}"
        ) from None


def check_port(port: int, option: str = "--port") -> None:
    """Nothing listens on a port of this machine.

    Raises:
        DeployError: something does.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104 - as Docker will
        except OSError as error:
            if error.errno == errno.EACCES:
                return  # below 1024: Docker's engine may, where we may not
            raise DeployError(
                f"port {port} is in use on this machine; end what listens there, or take another with {option}"
            ) from None


def check_room(folder: Path, needed: int, what: str) -> None:
    """There is room for ``needed`` bytes, and a margin.

    Raises:
        DeployError: there is not.
    """
    place = next((one for one in (folder, *folder.parents) if one.exists()), Path("/"))
    free = shutil.disk_usage(place).free
    if free < needed + MARGIN:
        raise DeployError(
            f"{place} has {free / 2**30:.1f} GiB free, and {what} need {(needed + MARGIN) / 2**30:.1f} GiB; "
            "free some, such as with `docker system prune`"
        )


def check_docker_room(docker: Program, needed: int) -> None:
    """As ``check_room``, where Docker keeps images and volumes; an engine elsewhere is not asked.

    Raises:
        DeployError: there is no room.
    """
    root = Path(docker.run("info", "--format", "{{.DockerRootDir}}", timeout=_ASKING).strip())
    if root.is_dir():
        check_room(root, needed, "the images, the store and the cache")


def _check_version(what: str, found: str, oldest: tuple[int, int], where: str) -> None:
    numbers = _NUMBERS.search(found)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < oldest:
        expected = ".".join(map(str, oldest))
        raise DeployError(
            f"{what} is {found or 'of no known version'}, expected {expected} or later; update it: {where}"
        )

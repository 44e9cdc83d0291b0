"""What a service has in a Compose file and in a Swarm's stack file alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kapelle.deploy.secrets import FOLDER, PEERS, S3
from kapelle.deploy.topology import USER, Part, Role, Topology
from kapelle.deploy.yaml import Alias, Note

PROBE = ("CMD", "python", "-P", "-m", "kapelle.healthcheck")
PIDS = 4096
"""Processes and threads of a container at most; a fork bomb stays its own."""

S3_CREDENTIALS = Note("Who may use the store, as variables; the file is yours to fill.", [f"{FOLDER}/{S3}"])


def healthcheck(system: Topology) -> dict[str, Any]:
    """Ready within the time to start, asked every second until then."""
    return {
        "test": list(PROBE),
        "interval": "10s",
        "timeout": "5s",
        "retries": 5,
        "start_period": Note("As long as a model may take to load.", f"{system.patience}s"),
        "start_interval": "1s",
    }


def container(system: Topology) -> dict[str, Any]:
    """What every container of ours has."""
    return {
        "stop_grace_period": Note("The drain, and what comes after it.", f"{system.grace}s"),
        **hardening(),
        "logging": logging(),
    }


def part_options(system: Topology, part: Part, peer: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The options of one kind of containers: ``peer`` are the settings that several share, by the anchor ``settings``."""
    stays = part.role not in (Role.RELEASE, Role.TESTS)
    shared = {"<<": Alias("settings")} if peer.items() <= own.items() else {}
    rest = {name: value for name, value in own.items() if not shared or name not in peer}
    return {
        **({"command": list(part.command)} if part.command else {}),
        "environment": {**shared, **rest} if rest or not shared else Alias("settings"),
        **({"env_file": S3_CREDENTIALS} if _in_store(system, part) else {}),
        **({"healthcheck": Alias("healthcheck")} if stays else {}),
    }


def _in_store(system: Topology, part: Part) -> bool:
    return system.in_s3 and part.role not in (Role.DOOR, Role.TESTS)


def takes_secret(part: Part) -> bool:
    """Whether containers of this kind talk to each other."""
    return part.role in (Role.CONTROLLER, Role.REPLICA, Role.GATEWAY)


def secrets_of(system: Topology, part: Part) -> list[str]:
    """The secrets that containers of this kind are given."""
    return [PEERS, *system.certificates.files] if takes_secret(part) else []


def hardening() -> dict[str, Any]:
    """A container that can write nowhere but to its volumes and to memory, and gains no rights."""
    return {"read_only": True, "cap_drop": ["ALL"]}


def logging() -> dict[str, Any]:
    """Logs that do not fill the disk."""
    return {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}


def limits(part: Part) -> dict[str, Any]:
    """What a container may use; without numbers of the declaration only the number of its processes is bounded."""
    found: dict[str, Any] = {}
    if part.cpus is not None:
        found["cpus"] = f"{part.cpus:g}"
    if part.memory is not None:
        found["memory"] = mebibytes(part.memory)
    return {**found, "pids": PIDS}


def mebibytes(size: int) -> str:
    """A size for engines, rounded up: ``1610612737`` → ``1537M``."""
    return f"{-(-size // 2**20)}M"


def door_volume() -> dict[str, Any]:
    """The folder of the socket by which gateways get the door: in memory, the containers' own, empty after a restart."""
    options = f"uid={USER},gid={USER},mode=0700,size=1m"
    return {"driver": "local", "driver_opts": {"type": "tmpfs", "device": "tmpfs", "o": options}}

"""A system on several machines: ``stack.yaml``, and ``versions.yaml`` with what changes at each build."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kapelle.deploy import observing
from kapelle.deploy.secrets import FOLDER, GRAFANA, S3
from kapelle.deploy.service_options import container, door_volume, healthcheck, limits, part_options, secrets_of
from kapelle.deploy.topology import DOOR, GRPC, HTTP, RUN, STORE, USER, Part, Role, Topology, environment, folders
from kapelle.deploy.yaml import Alias, Anchor, Mode, Note, document, literal
from kapelle.errors import DeployError

STACK, VERSIONS = "stack.yaml", "versions.yaml"
_EVERYWHERE = (Role.DOOR, Role.GATEWAY)
"""What every machine has one of: a door without a gateway would let clients in whom nobody answers."""

_MONITOR = "10s"
"""How long a new container may take to fail, for its update to go back."""
_PEERS = "tasks.{service}"


def check_store(system: Topology) -> None:
    """Refuse a store that only one machine would see.

    Raises:
        DeployError: none is named.
    """
    if not system.store:
        raise DeployError(
            "the machines of a swarm share no volume; name a store that all of them reach: --store s3://bucket/prefix, or "
            "--store with a folder that is mounted at the same path on each"
        )


def check_scale(scale: Mapping[str, int]) -> None:
    """Refuse a number of gateways: there is one on each machine.

    Raises:
        DeployError: one is given.
    """
    if "gateway" in scale:
        raise DeployError(
            f"--scale gateway={scale['gateway']}: every machine of a swarm has one gateway, which serves at its door; "
            "leave it out, and add machines for more"
        )


def stack_files(system: Topology, digests: Mapping[str, str], *, observe: bool) -> dict[str, str]:
    """The text of each file, by its name.

    ``digests`` has one of each secret, which goes into the name that the swarm knows it by.
    """
    parts = [part for part in system.parts if part.role is not Role.TESTS]
    services = {part.name: _service(system, part) for part in parts}
    images = {part.name: {"image": part.image.reference} for part in parts}
    files = {}
    if observe:
        services |= _observing()
        files = observing.files([f"tasks.{part.name}" for part in system.running])
    content = {
        "x-container": Note("What every container has.", Anchor("container", container(system))),
        "x-settings": Note(
            "How the parts find each other; `kapelle config` explains each of them.",
            Anchor("settings", _settings(system)),
        ),
        "x-healthcheck": Anchor("healthcheck", healthcheck(system)),
        "x-update": Note(
            "One at a time, the new before the old; what fails goes back by itself.",
            Anchor("update", _update("start-first")),
        ),
        "services": services,
        "networks": {"peers": Note("Where the parts talk to each other, across machines.", {"driver": "overlay"})},
        "volumes": {
            "cache": Note("What the containers of a machine have fetched of the store, once for all.", {}),
            "door": Note("The way from a machine's gateways to its door.", door_volume()),
            **({name: {} for name in observing.VOLUMES} if observe else {}),
        },
    }
    versions = {"services": images, "secrets": _secrets(system, digests), **_configs(system, files)}
    return {STACK: document(_head(system), literal(content)), VERSIONS: document(_VERSIONS_HEAD, versions), **files}


_VERSIONS_HEAD = (
    "What stack.yaml runs: each image's tag is a digest of all that is in it; secrets and configs cannot change in a swarm,\n"
    "so that the names of new ones are others."
)


def _head(system: Topology) -> str:
    return (
        f"{system.name} on a swarm, made by `kapelle deploy swarm`. Edit it: an edited file is left alone.\n"
        "\n"
        "  kapelle deploy swarm TARGET --up     start it, or update it with no failed request\n"
        f"  docker stack deploy -c {STACK} -c {VERSIONS} {system.name}\n"
        f"  docker service scale {system.name}_NAME=3\n"
        "  kapelle down swarm TARGET            take it away; --volumes with all that it has stored\n"
        "\n"
        "Images come from a registry, or have to be on every machine: kapelle deploy swarm TARGET --registry PREFIX.\n"
        f"They are named in {VERSIONS}: a new build changes that file, not this one."
    )


def _service(system: Topology, part: Part) -> Note:
    service = {
        "<<": Alias("container"),
        **_hostname(part),
        **part_options(system, part, _settings(system), _own_settings(system, part)),
        **({"secrets": [_secret_mount(name) for name in given]} if (given := secrets_of(system, part)) else {}),
        **({"ports": _ports(system)} if part.role is Role.DOOR else {}),
        "networks": ["peers"],
        "volumes": [*(_mount(system, *one) for one in folders(system, part)), *_temporary()],
        "deploy": _deploy(part),
    }
    return Note(_ABOUT[part.role].format(name=part.name), service)


def _hostname(part: Part) -> dict[str, Any]:
    """A name for what is replaced only after it has ended: two that are there at a time need two names."""
    if part.role in (Role.RELEASE, Role.GATEWAY) or (part.role is Role.REPLICA and not _apart(part)):
        return {}
    name = "{{.Service.Name}}.{{.Node.Hostname}}" if part.role is Role.DOOR else "{{.Service.Name}}.{{.Task.Slot}}"
    return {"hostname": Note("A name that lasts as long as the task's place.", name)}


_ABOUT = {
    Role.DOOR: "Holds the published port of each machine, and lends it to the machine's gateways.",
    Role.RELEASE: "Makes the first release in the store; does nothing where there is one.",
    Role.CONTROLLER: "Publishes releases, and tells replicas of sharded services which shards are theirs.",
    Role.REPLICA: "Replicas of {name}. Gateways find each of them by DNS, and balance by themselves: no virtual IP.",
    Role.GATEWAY: "One on each machine: it serves HTTP through the door there, so that no door is without.",
}


def _settings(system: Topology) -> dict[str, Any]:
    [controller] = system.of(Role.CONTROLLER)
    return environment(system, controller, peers=_PEERS, node="{{.Node.Hostname}}")


def _own_settings(system: Topology, part: Part) -> dict[str, Any]:
    found = environment(system, part, peers=_PEERS, node="{{.Node.Hostname}}")
    return found | {"KAPELLE_DOOR": DOOR} if part.role in (Role.DOOR, Role.GATEWAY) else found


def _temporary() -> list[dict[str, Any]]:
    """Folders in memory, in the only form that a stack file has for them."""
    return [
        {"type": "tmpfs", "target": place, "tmpfs": {"size": size << 20}}
        for place, size in (("/tmp", 256), (RUN, 16))  # noqa: S108 - the container's own
    ]


def _ports(system: Topology) -> list[dict[str, Any]]:
    pairs = [(HTTP, system.port), *([(GRPC, system.grpc_port)] if system.grpc_port else [])]
    return [
        {"target": target, "published": published, "mode": Note("Of this machine itself, past the mesh.", "host")}
        for target, published in pairs
    ]


def _mount(system: Topology, name: str, target: str) -> Any:
    if target == STORE:
        return Note(
            "Mounted at this path on all machines.",
            {"type": "bind", "source": str(Path(system.store).absolute()), "target": target},
        )
    return f"{name}:{target}"


def _secret_mount(name: str) -> dict[str, Any]:
    return {"source": name, "target": name, "uid": str(USER), "gid": str(USER), "mode": Mode(0o400)}


def _deploy(part: Part) -> dict[str, Any]:
    if part.role is Role.RELEASE:
        again = {"condition": "on-failure", "max_attempts": 3, "delay": "5s"}
        return {"mode": "replicated-job", "replicas": 1, "restart_policy": again, "resources": _resources(part)}
    many = {"mode": "global"} if part.role in _EVERYWHERE else {"replicas": part.count}
    placement: dict[str, Any] = {}
    if part.placement:
        placement["constraints"] = [f"node.labels.{label}=={value}" for label, value in sorted(part.placement.items())]
    if _apart(part):
        placement["max_replicas_per_node"] = Note("Copies of a shard are worth nothing on one machine.", 1)
    return {
        "endpoint_mode": "dnsrr",
        **many,
        **({"placement": placement} if placement else {}),
        "resources": _resources(part),
        "restart_policy": {"condition": "any", "delay": "1s"},
        **_changes(part),
    }


def _apart(part: Part) -> bool:
    return part.copies and part.count > 1


def _changes(part: Part) -> dict[str, Any]:
    """How containers are replaced, and how they are put back."""
    if part.role is Role.DOOR:
        why = "The port has to be free before the next door takes it."
    elif part.role is Role.CONTROLLER:
        why = "There is one at a time; all else serves on without it."
    elif _apart(part):
        why = "A new copy may find no other machine than the old one's; the other copies serve meanwhile."
    else:
        return {"update_config": Alias("update"), "rollback_config": {"parallelism": 1, "order": "start-first"}}
    update: dict[str, Any] = {"<<": Alias("update"), "order": Note(why, "stop-first")}
    if _apart(part):
        update["delay"] = Note(
            "Until it is known whether the one before fails: the next old one serves till then.", _MONITOR
        )
    return {"update_config": update, "rollback_config": {"parallelism": 1, "order": "stop-first"}}


def _update(order: str) -> dict[str, Any]:
    return {"parallelism": 1, "order": order, "failure_action": "rollback", "monitor": _MONITOR, "max_failure_ratio": 0}


def _resources(part: Part) -> dict[str, Any]:
    found: dict[str, Any] = {"limits": limits(part)}
    reserved = {name: value for name, value in limits(part).items() if name in ("cpus", "memory")}
    if part.gpus:
        device = {"discrete_resource_spec": {"kind": "NVIDIA-GPU", "value": part.gpus}}
        reserved["generic_resources"] = Note("As named by node-generic-resources of the machine's engine.", [device])
    return found | ({"reservations": reserved} if reserved else {})


def _secrets(system: Topology, digests: Mapping[str, str]) -> dict[str, Any]:
    return {
        name: {"file": f"./{FOLDER}/{name}", "name": f"{system.name}-{name}-{digest}"}
        for name, digest in digests.items()
        if name != S3
    }


def _configs(system: Topology, files: Mapping[str, str]) -> dict[str, Any]:
    if not files:
        return {}
    configs = {
        _config_name(file): {
            "file": f"./{file}",
            "name": f"{system.name}-{_config_name(file)}-{hashlib.sha256(text.encode()).hexdigest()[:8]}",
        }
        for file, text in files.items()
    }
    return {"configs": configs}


def _config_name(file: str) -> str:
    return file.replace("/", "-").rpartition(".")[0]


def _observing() -> dict[str, Any]:
    services = observing.services()
    for name, service in services.items():
        service["configs"] = [
            {"source": _config_name(file), "target": target} for file, target in observing.MOUNTS[name].items()
        ]
        service["networks"] = ["peers"]
        # What they store lies on one machine.
        service["deploy"] = {"placement": {"constraints": ["node.role==manager"]}, "endpoint_mode": "dnsrr"}
    services["grafana"]["secrets"] = [{"source": GRAFANA, "target": GRAFANA, "uid": "472", "mode": Mode(0o400)}]
    services["grafana"]["ports"] = [{"target": 3000, "published": 3000, "mode": "host"}]
    return {
        "prometheus": Note("Reads the metrics of each container, every 5 seconds.", services["prometheus"]),
        "grafana": Note("Draws them. User admin; the password is in secrets/grafana.", services["grafana"]),
    }

"""A system on one machine: ``compose.yaml``, and ``.env`` with what changes at each build."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

from kapelle.deploy import observing
from kapelle.deploy.secrets import FOLDER, GRAFANA, PEERS, S3
from kapelle.deploy.service_options import container, door_volume, healthcheck, limits, part_options, secrets_of
from kapelle.deploy.topology import DOOR, GRPC, HTTP, RUN, STORE, Part, Role, Topology, environment, folders
from kapelle.deploy.yaml import Alias, Anchor, Note, Variable, document, literal

FILE = "compose.yaml"
_TEMPORARY = "/tmp"  # noqa: S108 - the container's own
_MADE = f"{RUN}/made"
_CERTIFIED = {
    "kapelle.certificates": Note(
        "Other certificates are other containers: --up replaces them.", Variable("CERTIFICATES")
    )
}
HEALTHY, STARTED = "service_healthy", "service_started"


def compose_files(system: Topology, folder: Path, *, observe: bool) -> dict[str, str]:
    """The text of each file, by its name below ``folder``."""
    services = {part.name: _service(system, part, folder) for part in system.parts}
    names = [part.name for part in system.running]
    files = {}
    if observe:
        services |= _observing()
        files = observing.files(names)
    content = {
        "name": system.name,
        "x-container": Note("What every container has.", Anchor("container", _container(system))),
        "x-settings": Note(
            "How the parts find each other; `kapelle config` explains each of them.",
            Anchor("settings", _settings(system)),
        ),
        "x-healthcheck": Anchor("healthcheck", healthcheck(system)),
        "services": services,
        "networks": {
            "front": Note("Where the door is, and whoever comes to it.", {}),
            "peers": Note("Where the parts talk to each other; nothing here is published.", {}),
        },
        "volumes": _volumes(system, observe=observe),
        "secrets": {
            name: {"file": f"./{FOLDER}/{name}"} for name in secret_names(system, observe=observe) if name != S3
        },
    }
    return {FILE: document(_head(system), literal(content)), ".env": _variables(system), **files}


def secret_names(system: Topology, *, observe: bool) -> list[str]:
    """The secrets that the files name."""
    return [PEERS, *system.certificates.files, *([GRAFANA] if observe else []), *([S3] if system.in_s3 else [])]


def image_variable(part: Part) -> str:
    """The variable that holds the image of a part; parts of one image share it."""
    name = "gateway" if part.role is Role.CONTROLLER else part.name
    return f"IMAGE_{name.upper().replace('-', '_')}"


def _head(system: Topology) -> str:
    return (
        f"{system.name} on one machine, made by `kapelle deploy compose`. Edit it: an edited file is left alone.\n"
        "\n"
        "  kapelle deploy compose TARGET --up      start it, or update it with no failed request\n"
        "  docker compose up -d --scale NAME=3     other numbers of containers\n"
        "  docker compose up --abort-on-container-exit --exit-code-from tests\n"
        "  docker compose exec controller kapelle status\n"
        "  kapelle down compose TARGET             take it away; --volumes with all that it has stored\n"
        "\n"
        "The images are named in .env: a new build changes that file, not this one."
    )


def _variables(system: Topology) -> str:
    lines = {image_variable(part): part.image.reference for part in system.parts}
    return "".join(
        ["# The images that compose.yaml runs; each tag is a digest of all that is in the image.\n"]
        + [f"{name}={reference}\n" for name, reference in sorted(lines.items())]
        + (
            ["# A digest of the certificates.\n", f"CERTIFICATES={system.certificates.digest}\n"]
            if system.certificates.digest
            else []
        )
    )


def _service(system: Topology, part: Part, folder: Path) -> Any:
    service = {
        "<<": Alias("container"),
        "image": Variable(image_variable(part)),
        "build": _build(system, part, folder),
        **part_options(system, part, _settings(system), _own_settings(system, part)),
        **(_stays(part) if part.role is Role.RELEASE else {}),
        **({"secrets": given} if (given := secrets_of(system, part)) else {}),
        **({"labels": _CERTIFIED} if given and system.certificates.digest else {}),
        **({"ports": _ports(system)} if part.role is Role.DOOR else {}),
        "networks": ["front" if part.role in (Role.DOOR, Role.TESTS) else "peers"],
        **({"volumes": mounts} if (mounts := [_mount(system, *one) for one in folders(system, part)]) else {}),
        **({"depends_on": waits} if (waits := _waits_for(system, part)) else {}),
        **({} if part.role in (Role.RELEASE, Role.TESTS) else {"restart": "unless-stopped"}),
        "deploy": _deploy(part),
    }
    return Note(_ABOUT[part.role].format(name=part.name), service)


def _stays(part: Part) -> dict[str, Any]:
    """A job that rests when it is done: Compose takes any container that ends for the end of all when it waits for tests."""
    job = f"{shlex.join(part.command)} && touch {_MADE} && exec sleep infinity"
    check = {"test": ["CMD", "test", "-f", _MADE], "start_period": "24h", "start_interval": "1s"}
    return {
        "command": Note(
            "Rests when it is done: whoever waits for the tests would take its end for theirs.", ["sh", "-c", job]
        ),
        "healthcheck": check,
    }


def _container(system: Topology) -> dict[str, Any]:
    return {
        **container(system),
        "security_opt": ["no-new-privileges:true"],
        "tmpfs": Note("Written to and forgotten.", [f"{_TEMPORARY}:size=256m", f"{RUN}:size=16m"]),
        "pull_policy": Note("What is not there is built, never looked for elsewhere.", "never"),
    }


def _settings(system: Topology) -> dict[str, Any]:
    """Those that all who talk to each other share."""
    [controller] = system.of(Role.CONTROLLER)
    return environment(system, controller, peers="{service}", node="compose")


def _own_settings(system: Topology, part: Part) -> dict[str, Any]:
    if part.role is Role.TESTS:
        return {"KAPELLE_URL": f"http://door:{HTTP}"}
    found = environment(system, part, peers="{service}", node="compose")
    return found | {"KAPELLE_DOOR": DOOR} if part.role in (Role.DOOR, Role.GATEWAY) else found


_ABOUT = {
    Role.DOOR: "Holds the published port, and lends it to the gateways: any number of them, none of which it outlives.",
    Role.RELEASE: "Makes the first release in the store; does nothing where there is one.",
    Role.CONTROLLER: "Publishes releases, and tells replicas of sharded services which shards are theirs.",
    Role.REPLICA: "Replicas of {name}. Their gateways find each of them by DNS, and balance by themselves.",
    Role.GATEWAY: "Gateways: they serve HTTP through the door's port.",
    Role.TESTS: "The app's own tests, against all of this.",
}


def _build(system: Topology, part: Part, folder: Path) -> dict[str, str]:
    context = Path(os.path.relpath(system.images.context, folder)).as_posix()
    return {"context": context, "dockerfile": part.image.dockerfile, "target": part.image.target}


def _ports(system: Topology) -> list[str]:
    ports = [f"{system.port}:{HTTP}"]
    return [*ports, f"{system.grpc_port}:{GRPC}"] if system.grpc_port else ports


def _mount(system: Topology, name: str, target: str) -> Any:
    if target == STORE and system.store:
        bind = {"type": "bind", "source": str(Path(system.store).absolute()), "target": target}
        return {**bind, "bind": Note("Make it first, for user 10001.", {"create_host_path": False})}
    return f"{name}:{target}"


def _waits_for(system: Topology, part: Part) -> dict[str, dict[str, str]]:
    match part.role:
        case Role.CONTROLLER | Role.REPLICA:
            found = {"release": HEALTHY}
        case Role.GATEWAY:
            replicas = {one.name: HEALTHY for one in system.of(Role.REPLICA)}
            found = {"release": HEALTHY, "controller": STARTED, **replicas}
        case Role.TESTS:
            found = {"door": HEALTHY, "gateway": HEALTHY}
        case _:
            found = {}
    return {name: {"condition": condition} for name, condition in found.items()}


def _deploy(part: Part) -> dict[str, Any]:
    resources: dict[str, Any] = {"limits": limits(part)}
    if part.gpus:
        device = {"driver": "nvidia", "count": part.gpus, "capabilities": ["gpu"]}
        resources["reservations"] = {"devices": [device]}
    return {"replicas": part.count, "resources": resources}


def _volumes(system: Topology, *, observe: bool) -> dict[str, Any]:
    return {
        **({} if system.store else {"store": Note("The releases.", {})}),
        "cache": Note("What containers have fetched of them, once for all.", {}),
        "door": Note("The way from the gateways to the door.", door_volume()),
        **({name: {} for name in observing.VOLUMES} if observe else {}),
    }


def _observing() -> dict[str, Any]:
    services = observing.services()
    services["grafana"]["secrets"] = [GRAFANA]
    for name, service in services.items():
        service["volumes"] += [f"./{file}:{target}:ro" for file, target in observing.MOUNTS[name].items()]
        service["networks"] = ["front", "peers"] if name == "prometheus" else ["front"]
        service |= {"security_opt": ["no-new-privileges:true"], "restart": "unless-stopped"}
    services["prometheus"]["ports"] = ["127.0.0.1:9090:9090"]
    services["grafana"]["ports"] = [
        Note("For this machine only. User admin; the password is in secrets/grafana.", "127.0.0.1:3000:3000")
    ]
    services["grafana"]["depends_on"] = ["prometheus"]
    return {
        "prometheus": Note("Reads the metrics of each container, every 5 seconds.", services["prometheus"]),
        "grafana": Note("Draws them.", services["grafana"]),
    }

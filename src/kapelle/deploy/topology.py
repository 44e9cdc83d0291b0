"""What containers a system consists of, for all engines alike: their commands, images, numbers, and what they may use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from kapelle.config.engine import container_name
from kapelle.config.settings import Settings
from kapelle.declare.apps import AppSpec
from kapelle.declare.services import ServiceSpec
from kapelle.deploy.certificates import SETTINGS, Certificates
from kapelle.deploy.images import Image, Images
from kapelle.errors import DeployError
from kapelle.transport.door import LAST_PORT

USER = 10001
"""User and group of every container."""
STORE, CACHE, DOOR, RUN = "/var/lib/kapelle/store", "/var/lib/kapelle/cache", "/run/kapelle-door", "/run/kapelle"
SECRETS = "/run/secrets"
SECRET = f"{SECRETS}/kapelle"
OBSERVERS = ("prometheus", "grafana")
"""What `--observe` adds to the parts of a system."""
HTTP, GRPC, DATA, CONTROL, HEALTH = 8080, 8081, 7100, 7101, 7102
"""Ports inside containers: what gateways serve, calls to replicas, the controller's word, health and metrics."""

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_MARGIN = 1.25
"""A replica is replaced at its memory limit; its container has that much more until the kernel ends it."""
_AFTER_DRAIN = 15.0
"""Seconds between the longest drain and the engine's patience."""


class Role(StrEnum):
    """What a container does."""

    DOOR = "door"
    GATEWAY = "gateway"
    REPLICA = "replica"
    CONTROLLER = "controller"
    RELEASE = "release"
    TESTS = "tests"


@dataclass(frozen=True, slots=True)
class Part:
    """Containers of one kind; without ``command`` they run their image's own.

    ``name`` is that under which DNS finds them; ``memory`` is bytes, ``cpus`` cores; ``copies`` says that they are copies
    of shards, which belong to different machines.
    """

    name: str
    role: Role
    image: Image
    command: tuple[str, ...]
    count: int = 1
    cpus: float | None = None
    memory: int | None = None
    gpus: int = 0
    placement: Mapping[str, str] = field(default_factory=dict)
    copies: bool = False


@dataclass(frozen=True, slots=True)
class Topology:
    """A system in containers. ``name`` is that of the whole; ``grace`` and ``patience`` are seconds to stop and to start.

    ``store`` is a place in S3, or a folder; where it is empty, a volume. ``port`` is what clients connect to, ``grpc_port``
    that of gRPC; 0 where there is none. With ``certificates`` processes speak TLS with each other.
    """

    name: str
    target: str
    images: Images
    parts: tuple[Part, ...]
    store: str
    port: int
    grpc_port: int
    grace: int
    patience: int
    certificates: Certificates = field(default_factory=Certificates)

    def of(self, *roles: Role) -> list[Part]:
        """The parts of these roles, in the order of the whole."""
        return [part for part in self.parts if part.role in roles]

    @property
    def in_s3(self) -> bool:
        """Whether the store is in S3, so that no volume is needed."""
        return self.store.startswith("s3://")

    @property
    def running(self) -> list[Part]:
        """The parts that stay up."""
        return self.of(Role.DOOR, Role.CONTROLLER, Role.REPLICA, Role.GATEWAY)


def topology(
    app: AppSpec,
    images: Images,
    settings: Settings,
    *,
    scale: Mapping[str, int] | None = None,
    gateways: int = 1,
    certificates: Certificates | None = None,
) -> Topology:
    """The containers of an app.

    ``scale`` has numbers other than the declared ones, by the names of parts or classes; ``gateways`` is the least number
    of gateways where the settings name fewer.

    Raises:
        DeployError: a name in ``scale`` is none of the system's, two parts would have the same name or one that no engine
            takes, or there is no port for gRPC.
    """
    text, port = images.place, settings.port or HTTP
    services = [spec for spec in app.services.values() if not spec.inline]
    parts = (
        Part("door", Role.DOOR, images.door, ("kapelle", "start", "door")),
        Part("release", Role.RELEASE, images.release, ("kapelle", "release", "build", text, "--once")),
        Part("controller", Role.CONTROLLER, images.gateway, ("kapelle", "start", "controller", text)),
        *(_replica(spec, images, text) for spec in services),
        Part(
            "gateway", Role.GATEWAY, images.gateway, ("kapelle", "start", "gateway", text),
            count=max(settings.gateways, gateways),
        ),
        *([Part("tests", Role.TESTS, images.tests, ())] if images.tests else []),
    )  # fmt: skip
    _check_names(app, parts)
    grpc_port = (settings.grpc_port or port + 1) if images.grpc and settings.grpc_port >= 0 else 0
    if grpc_port in (port, LAST_PORT + 1):
        raise DeployError(
            f"gRPC cannot have port {grpc_port} beside port {port} of HTTP; choose another with --port or "
            "KAPELLE_GRPC_PORT, where -1 serves none"
        )
    return Topology(
        name=container_name(app.name),
        target=text,
        images=images,
        parts=_scaled(parts, scale or {}),
        store=settings.store,
        port=port,
        grpc_port=grpc_port,
        grace=round(settings.drain_timeout + _AFTER_DRAIN),
        patience=round(settings.start_timeout),
        certificates=certificates or Certificates(),
    )


def environment(system: Topology, part: Part, *, peers: str, node: str) -> dict[str, Any]:
    """The settings of a container, apart from what its engine fills in."""
    values: dict[str, Any] = {"KAPELLE_LOG_FORMAT": "json", "KAPELLE_HEALTH_PORT": HEALTH}
    listens = {"KAPELLE_HOST": "0.0.0.0", "KAPELLE_PORT": HTTP}  # noqa: S104 - all of a container
    if system.grpc_port not in (0, GRPC):
        # The port that clients connect to may be in the app's kapelle.toml, which is in the image.
        listens["KAPELLE_GRPC_PORT"] = GRPC
    if part.role is Role.DOOR:
        return values | listens
    values |= {"KAPELLE_STORE": system.store if system.in_s3 else STORE}
    # A folder of its own below what the engine mounts there, which may belong to somebody else.
    values |= {"KAPELLE_CACHE": CACHE, "KAPELLE_RUN_DIR": f"{RUN}/app"}
    if part.role is Role.RELEASE:
        return values
    values |= {"KAPELLE_SECRET_FILE": SECRET, "KAPELLE_PEERS": peers, "KAPELLE_NODE": node}
    values |= {"KAPELLE_DATA_PORT": DATA, "KAPELLE_CONTROL_PORT": CONTROL}
    values |= {f"KAPELLE_{SETTINGS[name].upper()}": f"{SECRETS}/{name}" for name in system.certificates.files}
    if part.role is Role.GATEWAY:
        values |= listens
    return values


def folders(system: Topology, part: Part) -> list[tuple[str, str]]:
    """The volumes of a container, as pairs of a name and the place where it is mounted."""
    store = [] if system.in_s3 else [("store", STORE)]
    match part.role:
        case Role.DOOR:
            return [("door", DOOR)]
        case Role.GATEWAY:
            return [*store, ("cache", CACHE), ("door", DOOR)]
        case Role.TESTS:
            return []
        case _:
            return [*store, ("cache", CACHE)]


def _replica(spec: ServiceSpec, images: Images, text: str) -> Part:
    return Part(
        name=container_name(spec.name), role=Role.REPLICA, image=images.services[spec.name],
        command=("kapelle", "start", "replica", text, spec.name), count=spec.replicas, cpus=spec.cpus,
        memory=None if spec.memory_limit is None else round(spec.memory_limit * _MARGIN),
        gpus=spec.gpus, placement=spec.placement, copies=spec.sharded,
    )  # fmt: skip


def _check_names(app: AppSpec, parts: tuple[Part, ...]) -> None:
    for one in (app.name, *(spec.name for spec in app.services.values() if not spec.inline)):
        if not _NAME.fullmatch(container_name(one)):
            raise DeployError(
                f"engines take no containers that are called {container_name(one)!r}, after the class {one}: they take "
                "1 to 63 of a-z, 0-9 and '-', a letter first; rename the class"
            )
    names = [*(part.name for part in parts), *OBSERVERS]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise DeployError(
            f"{app.name} has a service whose containers would be called {', '.join(sorted(twice))}, "
            "as others are; rename its class"
        )


def _scaled(parts: tuple[Part, ...], scale: Mapping[str, int]) -> tuple[Part, ...]:
    wanted = {container_name(name): count for name, count in scale.items()}
    several = [part.name for part in parts if part.role in (Role.REPLICA, Role.GATEWAY)]
    for name, count in wanted.items():
        if name not in several:
            raise DeployError(f"--scale {name}={count}: there is no such part; expected one of {', '.join(several)}")
        if count < 1:
            raise DeployError(f"--scale {name}={count}: expected at least 1")
    return tuple(replace(part, count=wanted.get(part.name, part.count)) for part in parts)

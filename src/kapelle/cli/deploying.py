"""What ``kapelle deploy`` does: writes the files of an engine, and starts or updates what they describe."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from kapelle.artifacts.stores import is_in_s3
from kapelle.cli.project import Project
from kapelle.config.engine import container_name
from kapelle.deploy import compose, compose_up, preflight, secrets, swarm, swarm_up
from kapelle.deploy.certificates import certificates_of
from kapelle.deploy.containers import Project as Containers
from kapelle.deploy.docker import Docker
from kapelle.deploy.files import File, write_files
from kapelle.deploy.images import Variant, plan_images
from kapelle.deploy.kubernetes import files as kubernetes_files
from kapelle.deploy.kubernetes import up as kubernetes_up
from kapelle.deploy.programs import kubectl
from kapelle.deploy.supply import supply
from kapelle.deploy.topology import Role, Topology, topology
from kapelle.errors import DeployError


@dataclass(frozen=True, slots=True)
class Request:
    """What a command line asks for; ``options`` are settings."""

    target: str
    out: str
    scale: Sequence[str]
    observe: bool
    variant: Variant
    registry: str = ""
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the files go."""
        return Path(self.out)

    def to_start(self, engine: str) -> str:
        """The command line that asks for the same, and starts it."""
        scale = [word for one in self.scale for word in ("--scale", one)]
        options = [
            word for name, value in self.options.items() if value is not None for word in (f"--{name}", str(value))
        ]
        registry = ["--registry", self.registry] if self.registry else []
        variant = ["--variant", self.variant] if self.variant != "cpu" else []
        observe = ["--observe"] if self.observe else []
        words = [*self._words("deploy", engine), *options, *scale, *registry, *variant, *observe, "--up"]
        return shlex.join(words)

    def to_stop(self, engine: str) -> str:
        """The command line that takes it away again."""
        return shlex.join(self._words("down", engine))

    def _words(self, verb: str, engine: str) -> list[str]:
        out = [] if self.out == f"deploy/{engine}" else ["--out", self.out]
        return ["kapelle", verb, engine, self.target, *out]


def run_compose(request: Request, *, up: bool) -> int:
    """``kapelle deploy compose``; the exit status."""
    console = _console()
    project, system = _planned(request)
    folder, names = request.folder, compose.secret_names(system, observe=request.observe)
    files = compose.compose_files(system, folder, observe=request.observe)
    _tell(
        console,
        write_files(folder, f"{system.name} on compose", files),
        secrets.make_secrets(folder, names, system.certificates.files),
    )
    if not up:
        console.print(f"start it  {request.to_start('compose')}")
        return 0
    engine = Docker()
    preflight.check_engine(engine)
    preflight.check_compose(engine)
    secrets.check_secrets(folder, names)
    containers = Containers(engine, system.name, folder)
    if not containers.containers("door"):
        _check_ports(system)
    preflight.check_docker_room(engine, _needed(project))
    supply(engine, system, system.parts, console.print)
    compose_up.Deployment(containers, system, console.print).up(observe=request.observe)
    console.print(f"{system.name} is ready at http://127.0.0.1:{system.port}")
    if request.observe:
        console.print("  dashboard  http://127.0.0.1:3000")
    console.print(f"  stop       {request.to_stop('compose')}")
    return 0


def run_swarm(request: Request, *, up: bool) -> int:
    """``kapelle deploy swarm``; the exit status."""
    console = _console()
    swarm.check_scale(_scale(request.scale))
    _, system = _planned(request)
    swarm.check_store(system)
    folder, names = request.folder, compose.secret_names(system, observe=request.observe)
    made = secrets.make_secrets(folder, names, system.certificates.files)
    secrets.check_secrets(folder, names)
    digests = {name: secrets.digest_of(folder, name) for name in names}
    files = swarm.stack_files(system, digests, observe=request.observe)
    _tell(console, write_files(folder, f"{system.name} on swarm", files), made)
    if not up:
        console.print(f"start it  {request.to_start('swarm')}")
        return 0
    engine = Docker()
    preflight.check_engine(engine)
    preflight.check_swarm(engine)
    stack = swarm_up.Stack(engine, system.name, folder)
    swarm_up.check_machines(engine, system)
    if not stack.services():
        _check_ports(system)
    preflight.check_docker_room(engine, 0)
    running = [part for part in system.parts if part.role is not Role.TESTS]
    supply(engine, system, running, console.print, push=bool(request.registry))
    swarm_up.up(stack, system, console.print, from_registry=bool(request.registry))
    console.print(f"{system.name} is ready at port {system.port} of each machine with a gateway")
    console.print(f"  stop  {request.to_stop('swarm')}")
    return 0


def run_kubernetes(request: Request, *, up: bool) -> int:
    """``kapelle deploy kubernetes``; the exit status."""
    console = _console()
    _, system = _planned(request, gateways=kubernetes_files.GATEWAYS)
    folder = request.folder
    files = kubernetes_files.kubernetes_files(system, observe=request.observe)
    written = write_files(folder, f"{system.name} on kubernetes", files)
    base, observing = folder / kubernetes_files.BASE, folder / kubernetes_files.COMPONENTS / "observe"
    names = compose.secret_names(system, observe=False)
    made = secrets.make_secrets(base, names, system.certificates.files)
    made += secrets.make_secrets(observing, [secrets.GRAFANA])
    _tell(console, written, made)
    if not up:
        console.print(f"start it  {request.to_start('kubernetes')}")
        return 0
    program = kubectl()
    preflight.check_cluster(program)
    engine = Docker()
    preflight.check_engine(engine, preflight.BUILDER)
    secrets.check_secrets(base, names)
    running = system.of(Role.CONTROLLER, Role.GATEWAY, Role.REPLICA, Role.RELEASE)
    supply(engine, system, running, console.print, push=bool(request.registry))
    kubernetes_up.up(kubernetes_up.Cluster(program, system.name), system, folder, console.print)
    console.print(f"{system.name} is ready")
    console.print(f"  try   kubectl -n {system.name} port-forward service/{system.name} {system.port}")
    console.print(f"  stop  {request.to_stop('kubernetes')}")
    return 0


def _planned(request: Request, *, gateways: int = 1) -> tuple[Project, Topology]:
    project = Project(request.target, request.options)
    app = project.load()
    settings = project.settings
    name = f"{request.registry.rstrip('/')}/{container_name(app.name)}" if request.registry else ""
    certificates = certificates_of(settings)
    images = plan_images(project.target, app, variant=request.variant, name=name, s3=is_in_s3(settings.store))
    system = topology(app, images, settings, scale=_scale(request.scale), gateways=gateways, certificates=certificates)
    return project, system


def _scale(words: Sequence[str]) -> dict[str, int]:
    found = {}
    for word in words:
        name, _, count = word.partition("=")
        if not name or not count.isdecimal():
            raise DeployError(f"--scale {word}: expected a name and a number, as in Encoder=4")
        found[name] = int(count)
    return found


def _needed(project: Project) -> int:
    """Bytes of a release, once in the store and once in the cache."""
    return 2 * sum(path.stat().st_size for path in project.artifacts.rglob("*") if path.is_file())


def _tell(console: Console, files: Sequence[File], made: Sequence[Path]) -> None:
    for one in files:
        console.print(f"{os.path.relpath(one.path)}: {one.fate}")
    for path in made:
        console.print(f"{os.path.relpath(path)}: made, a secret; git does not see it")


def _console() -> Console:
    return Console(highlight=False, markup=False, soft_wrap=True)


def _check_ports(system: Topology) -> None:
    preflight.check_port(system.port)
    if system.grpc_port:
        preflight.check_port(system.grpc_port, "KAPELLE_GRPC_PORT, -1 for none")

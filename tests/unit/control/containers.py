"""A system of real processes' ends in one test process: each at a loopback address of its own, with the same ports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

import kapelle
from kapelle.artifacts.cache import Cache
from kapelle.artifacts.folder_objects import FolderObjects
from kapelle.artifacts.keeper import Keeper
from kapelle.artifacts.pointer import PointerLog
from kapelle.artifacts.releases import Releases
from kapelle.config.settings import Settings
from kapelle.control import overseer as overseer_module
from kapelle.control.overseer import Overseer
from kapelle.control.rundir import RunDir
from kapelle.control.single_code import ImageConductor
from kapelle.core.rollout_messages import Pointer, Shards, Side, Terms
from kapelle.declare.apps import AppSpec, app_spec
from kapelle.declare.code import Code
from kapelle.transport import discovery, sockets
from kapelle.transport.credentials import Credentials
from kapelle.transport.sockets import Address
from kapelle.transport.supervision import Supervised
from kapelle.wire import messages

SECRET = Credentials(b"what only these processes know")


@kapelle.service(replicas=2, artifact="model")
class Model:
    def __init__(self, artifact: Path) -> None: ...

    @kapelle.method
    def run(self) -> int:
        return 0


@kapelle.app
class App:
    model: Model

    @kapelle.get("/")
    async def run(self) -> int:
        return await self.model.run()


def app() -> AppSpec:
    """The app that all of them run."""
    spec = app_spec(App)
    assert spec is not None
    return spec


class Container:
    """A replica, or a gateway where ``service`` is "": a real keeper behind a real control port."""

    in_turn = False

    def __init__(self, address: str, service: str, code: str) -> None:
        self.address = address
        self.state = "ready"
        self.holds: dict[str, list[int]] = {"r1": [0]}
        self.busy: dict[str, int] = {}
        self.side: Side | None = None
        self.routed = "" if service else "r1"
        self.drains: list[float] = []
        name = f"{service or 'gateway'}-{address}"
        role = "replica" if service else "gateway"
        self._keeper = Keeper(self)
        self._supervised = Supervised(
            health=lambda: (self.state, "", 0, 0),
            collect=list,
            on_drain=self.drains.append,
            on_duty=self._told,
            about=messages.About(name, role, service, "here", code, 1.0),
        )
        self._keeper.tell = self._supervised.tell_attending
        self._server: asyncio.Server | None = None

    async def open(self, port: int, credentials: Credentials = SECRET) -> Container:
        bound = sockets.bind(Address("tcp", self.address, port))
        self._server = await sockets.serve(bound, self._supervised.accept, credentials)
        return self

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._supervised.close()

    def become(self, state: str) -> None:
        self.state = state
        self._supervised.announce()

    def _told(self, duty: messages.Duty) -> messages.FromProcess | None:
        match duty:
            case messages.Attend():
                return self._keeper.report
            case messages.AskGolden(epoch, release):
                return messages.GoldenAnswer(epoch, release, "")
            case messages.Prepare() | messages.Retire() | messages.Route() | messages.Rest():
                self._keeper.obey(duty)
            case _:
                pass
        return None

    async def prepare(self, release: str, shards: Shards) -> None:
        self.holds[release] = sorted(shards)

    async def _nothing(self) -> None: ...

    def retire(self, release: str, shards: Shards) -> Any:
        self.holds.pop(release)
        return self._nothing()

    def route(self, release: str, side: Side | None) -> None:
        self.routed, self.side = release, side

    def rest(self) -> None:
        self.routed, self.side = "", None


class Engine:
    """A store with releases r1 to r3, containers, what DNS has of them, and the controller."""

    def __init__(self, folder: Path, monkeypatch: Any, code: Code | None = None) -> None:
        self.folder = folder
        self.objects = FolderObjects(folder / "store")
        self.log = PointerLog(self.objects)
        for number in (1, 2, 3):
            model = folder / str(number) / "model"
            model.mkdir(parents=True)
            (model / "weights").write_text(str(number))
            Releases(self.objects).build("App", model.parent, ["model"], lambda _: None, code=code)
        assert self.log.write(Pointer(1, "r1", author="somebody before"), "", 0.0)
        self.code = Releases(self.objects).get("r1").manifest.code
        self.dns: dict[str, set[str]] = {"model": set(), "gateway": set()}
        self.containers: list[Container] = []
        self.overseers: list[Overseer] = []
        with sockets.bind(Address("tcp", "127.0.0.1", 0)) as free:
            self.settings = Settings(control_port=free.getsockname()[1], drain_timeout=7.0)
        monkeypatch.setattr(discovery, "_EVERY", 0.01)
        monkeypatch.setattr(discovery, "_addresses", self._look_up)
        monkeypatch.setattr(overseer_module, "_PROBE_EVERY", 0.01)

    async def _look_up(self, host: str) -> frozenset[str]:
        return frozenset(self.dns[host])

    async def start(self, address: str, service: str = "Model", code: str | None = None, **given: Any) -> Container:
        """One more container, which DNS has at once."""
        container = Container(address, service, self.code if code is None else code)
        self.containers.append(await container.open(self.settings.control_port, **given))
        self.dns["model" if service else "gateway"].add(address)
        return container

    async def system(self) -> tuple[Container, Container, Container]:
        """Two replicas and a gateway."""
        one, other = await self.start("127.0.9.1"), await self.start("127.0.9.2")
        return one, other, await self.start("127.0.9.3", "")

    async def oversee(self, **settings: Any) -> Overseer:
        """The controller begins."""
        terms = Terms(bake=0, claim_after=0.01, repeat=0.2, linger=0.2)
        conductor = ImageConductor("app.py", app(), self.objects, Cache(self.folder / "cache"), terms)
        run = RunDir(self.folder / "run")
        changed = msgspec.structs.replace(self.settings, **settings)
        overseer = Overseer("app.py", app(), changed, run, conductor, SECRET)
        await overseer.open()
        self.overseers.append(overseer)
        return overseer

    async def close(self) -> None:
        for overseer in self.overseers:
            overseer.close()
        for container in self.containers:
            await container.close()


async def until(happened: Callable[[], object]) -> None:
    """Return when something has happened that nobody is told of."""
    while not happened():  # noqa: ASYNC110 - as it says
        await asyncio.sleep(0.001)  # others are to run meanwhile, without this one taking a core

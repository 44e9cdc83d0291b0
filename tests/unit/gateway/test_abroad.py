"""A gateway in a container: it lets clients in once it can answer for the release that is current by then."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path
from typing import Any, cast

import pytest

from kapelle.artifacts.keeper import Keeper
from kapelle.artifacts.pointer import PointerLog
from kapelle.artifacts.stores import open_objects
from kapelle.config.orders import GatewayOrders, Network
from kapelle.config.settings import Settings
from kapelle.core.rollout_messages import Pointer, Side
from kapelle.declare.code import Code
from kapelle.gateway import abroad
from kapelle.gateway.abroad import Abroad, AtHome
from kapelle.gateway.fleet import Fleet
from kapelle.gateway.holder import GatewayHolder
from kapelle.wire import messages


class Gateway:
    """A fleet and a holder as far as the place looks at them; ``ready`` are the releases that replicas serve."""

    in_turn = False

    def __init__(self, folder: Path) -> None:
        (folder / "app.py").write_text("x = 1")
        self.release = "r1"
        self.served_releases: set[str] = set()
        self.holds: dict[str, list[int]] = {"r1": [0]}
        self.busy: dict[str, int] = {}
        self.side: Side | None = None
        self.built: list[str] = []
        self.may_be_built = asyncio.Event()
        self.may_be_built.set()
        self.keeper = Keeper(self)
        self._changed = asyncio.Event()
        store = str(folder / "store")
        self.log = PointerLog(open_objects(store))
        orders = GatewayOrders(
            target=str(folder / "app.py"), name="gateway-1", release="r1", artifacts="", store=store, cache="", http=0,
            control=0, door="", controller="", settings=Settings(),
        )  # fmt: skip
        self.place = Abroad(orders, Network("node-a", 0))

    @property
    def fleet(self) -> Fleet:
        return cast(Fleet, self)

    @property
    def routed(self) -> str:
        return self.release

    @property
    def ready(self) -> bool:
        return self.release in self.served_releases

    def serve(self, release: str) -> None:
        self.served_releases.add(release)
        self._changed.set()

    async def serving(self, release: str) -> None:
        while release not in self.served_releases:
            self._changed.clear()
            await self._changed.wait()

    async def acquainted(self) -> None:
        self.built.append("acquainted")

    async def prepare(self, release: str, shards: Collection[int]) -> None:
        self.built.append(release)
        await self.may_be_built.wait()
        await self.serving(release)
        self.holds[release] = [0]

    def retire(self, release: str, shards: Collection[int]) -> Any:
        raise NotImplementedError

    def rest(self) -> None:
        raise NotImplementedError

    def route(self, release: str, side: Side | None) -> None:
        self.release = release

    def point(self, epoch: int, release: str) -> None:
        assert self.log.write(Pointer(epoch, release, author="somebody"), "", 0.0)

    def begin(self) -> asyncio.Task[None]:
        return asyncio.create_task(self.place.served(self, cast(GatewayHolder, self), self.keeper))


@pytest.fixture
async def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    monkeypatch.setattr(abroad, "_GLANCE", 0.01)
    monkeypatch.setattr(abroad, "code_of", lambda _: Code("app.py", {"app.py": tmp_path / "app.py"}))
    return Gateway(tmp_path)


async def until_built(gateway: Gateway, release: str) -> None:
    while release not in gateway.built:  # noqa: ASYNC110 - nobody is told of it
        await asyncio.sleep(0.001)  # others are to run meanwhile, without this one taking a core


async def test_it_waits_for_a_replica_of_every_service(gateway: Gateway) -> None:
    gateway.point(1, "r1")
    served = gateway.begin()
    await asyncio.sleep(0)
    assert not served.done()
    gateway.serve("r1")
    await served
    assert gateway.built == []


async def test_a_store_that_says_nothing_does_not_hold_it_up(gateway: Gateway) -> None:
    gateway.serve("r1")
    await gateway.begin()


async def test_it_goes_on_to_what_is_current_by_then(gateway: Gateway) -> None:
    gateway.point(1, "r1")
    served = gateway.begin()
    gateway.point(2, "r2")
    await until_built(gateway, "r2")
    gateway.serve("r2")
    await served
    assert (gateway.release, gateway.built) == ("r2", ["r2"])


async def test_what_takes_long_is_built_once(gateway: Gateway) -> None:
    gateway.point(1, "r2")
    gateway.may_be_built.clear()
    gateway.serve("r2")
    served = gateway.begin()
    await until_built(gateway, "r2")
    looks = 0
    read = PointerLog.read

    def counted(log: PointerLog) -> Pointer:
        nonlocal looks
        looks += 1
        if looks == 5:
            loop.call_soon_threadsafe(gateway.may_be_built.set)
        return read(log)

    loop = asyncio.get_running_loop()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PointerLog, "read", counted)
        await served
    assert gateway.built == ["r2"], "it looked at the pointer again and again meanwhile"


async def test_what_the_controller_has_it_build_is_not_built_beside(gateway: Gateway) -> None:
    gateway.may_be_built.clear()
    gateway.keeper.obey(messages.Prepare(1, 1, "r2", [0]))
    await until_built(gateway, "r2")
    gateway.point(1, "r2")
    served = gateway.begin()
    gateway.serve("r2")
    gateway.may_be_built.set()
    await served
    assert (gateway.release, gateway.built) == ("r2", ["r2"])


async def test_a_pointer_that_goes_back_gives_up_what_is_being_built(gateway: Gateway) -> None:
    gateway.point(1, "r2")
    served = gateway.begin()
    await until_built(gateway, "r2")
    gateway.serve("r1")
    gateway.point(2, "r1")
    await served
    assert gateway.release == "r1"
    assert "r2" not in gateway.holds


async def test_at_home_it_gets_acquainted(gateway: Gateway) -> None:
    await AtHome().served(gateway, cast(GatewayHolder, gateway), gateway.keeper)
    assert gateway.built == ["acquainted"]


async def test_it_knows_who_it_is(gateway: Gateway) -> None:
    about = gateway.place.about
    assert about is not None
    assert (about.name, about.role, about.service, about.node) == ("gateway-1", "gateway", "", "node-a")
    assert about.code == gateway.place.code != ""

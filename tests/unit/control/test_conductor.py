"""Between the rollout machine, the store and the processes: what is decided is done, and people hear of it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kapelle.artifacts.cache import Cache
from kapelle.artifacts.folder_objects import FolderObjects
from kapelle.artifacts.history import History
from kapelle.artifacts.keeper import Keeper
from kapelle.artifacts.pointer import PointerLog
from kapelle.artifacts.releases import Releases
from kapelle.config.orders import Holding
from kapelle.control.conductor import Conductor
from kapelle.control.versions import Version, Versions
from kapelle.core.rollout_messages import Pointer, Shards, Side, Terms
from kapelle.declare.apps import app_spec
from kapelle.errors import StoreError
from kapelle.wire import messages, wishes
from tests.unit.control.containers import App

LOCALLY = Holding("local", [0])


@dataclass(frozen=True)
class Place:
    """What the conductor looks at of a recipe."""

    slot: str
    role: str
    service: str
    holding: Holding = LOCALLY
    module: str = "some.module"
    code: str = ""


@dataclass(eq=False)
class Puppet:
    """A process that obeys through a real keeper, and says what it holds at once."""

    name: str
    recipe: Place
    holds: dict[str, list[int]]
    tell: Callable[[Puppet, messages.FromProcess], None]
    broken: set[str] = field(default_factory=set)
    golden: str = ""
    started: float = 1.0
    holding: Holding = LOCALLY
    in_turn: bool = False
    routed: str = ""
    side: Side | None = None
    busy: dict[str, int] = field(default_factory=dict)
    heard: list[messages.Message] = field(default_factory=list)

    @property
    def slot(self) -> str:
        return self.recipe.slot

    @property
    def role(self) -> str:
        return self.recipe.role

    @property
    def service(self) -> str:
        return self.recipe.service

    @property
    def code(self) -> str:
        return self.recipe.code

    @property
    def node(self) -> str:
        return "here"

    @property
    def has_place(self) -> bool:
        return self.recipe.module != ""

    def __post_init__(self) -> None:
        self.keeper = Keeper(self)
        self.keeper.tell = lambda report: self.tell(self, report)

    def send(self, message: messages.Message) -> None:
        self.heard.append(message)
        if isinstance(message, messages.AskGolden):
            self.tell(self, messages.GoldenAnswer(message.epoch, message.release, self.golden))
        elif isinstance(message, messages.Prepare | messages.Retire | messages.Route | messages.Rest):
            self.keeper.obey(message)

    async def prepare(self, release: str, shards: Shards) -> None:
        if release in self.broken:
            raise ValueError("NaN in weights")
        self.holds[release] = sorted(shards)

    async def _nothing(self) -> None: ...

    def retire(self, release: str, shards: Shards) -> Any:
        self.holds.pop(release)
        return self._nothing()

    def route(self, release: str, side: Side | None) -> None:
        self.routed, self.side = release, side

    def rest(self) -> None:
        self.routed, self.side = "", None


class House:
    """A store with releases r1 to r3, processes, and the conductors that came one after the other."""

    def __init__(self, folder: Path) -> None:
        self.store = folder / "store"
        self.cache = Cache(folder / "cache")
        self.objects = FolderObjects(self.store)
        self.log = PointerLog(self.objects)
        for number in (1, 2, 3):
            model = folder / str(number) / "model"
            model.mkdir(parents=True)
            (model / "weights").write_text(str(number))
            Releases(self.objects).build("App", model.parent, ["model"], lambda _: None)
        assert self.log.write(Pointer(1, "r1", author="somebody before"), "", 0.0)
        self.said: list[str] = []
        self._changed = asyncio.Event()
        self.conductors: list[Conductor] = []
        self.puppets = [
            Puppet("Model-0", Place("Model-0", "replica", "Model"), {"r1": [0]}, self._tell),
            Puppet("Model-1", Place("Model-1", "replica", "Model"), {"r1": [0]}, self._tell),
            Puppet("gateway-0", Place("gateway-0", "gateway", ""), {"r1": [0]}, self._tell, routed="r1"),
        ]

    def _tell(self, puppet: Puppet, message: messages.FromProcess) -> None:
        self.conductors[-1].told(puppet, message)  # type: ignore[arg-type]  # all of a process that it looks at

    def begin(self, bake: float = 0.0) -> Conductor:
        spec = app_spec(App)
        assert spec is not None
        for before in self.conductors:
            before.close()
        versions = Versions(Version("", "app.py", spec), self.objects, self.cache)
        terms = Terms(bake=bake, claim_after=0.01, repeat=0.2, linger=0.2)
        conductor = Conductor(versions, self.objects, self.cache, terms)
        conductor.on_news = self._changed.set
        self.conductors.append(conductor)
        for puppet in self.puppets:
            conductor.started(puppet)  # type: ignore[arg-type]  # as above
        conductor.open()
        for puppet in self.puppets:
            puppet.keeper.changed()
        return conductor

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    yield house
    for conductor in house.conductors:
        conductor.close()


async def test_a_publish_brings_everybody_to_the_release(house: House) -> None:
    conductor = house.begin()
    await house.until(lambda: conductor.current == "r1")
    over = await conductor.publish("r2", house.said.append)
    assert (over.release, over.outcome) == ("r2", "committed")
    assert house.log.read().release == "r2"
    assert house.puppets[2].routed == "r2"
    assert house.said[0] == "r2: verifying 1 file, 0.0 MiB"
    assert any("asking the golden queries" in line for line in house.said)
    await house.until(lambda: all(puppet.holds.keys() == {"r2"} for puppet in house.puppets))
    assert {puppet.holding.release for puppet in house.puppets} == {"r2"}
    assert conductor.holding(house.puppets[0]) == Holding("r2", [0])  # type: ignore[arg-type]  # as above


async def test_a_release_that_does_not_load_is_refused_and_written_down(house: House) -> None:
    house.puppets[1].broken.add("r2")
    conductor = house.begin()
    await house.until(lambda: conductor.current == "r1")
    over = await conductor.publish("r2", house.said.append)
    assert (over.outcome, over.reason) == ("refused", "Model-1 could not load it: ValueError: NaN in weights")
    assert house.log.read().release == "r1"
    await house.until(lambda: bool(History(house.objects).latest()))
    assert History(house.objects).latest()["r2"].reason == over.reason
    assert (await conductor.publish("r3", house.said.append)).outcome == "committed"


async def test_what_is_no_release_has_no_history(house: House) -> None:
    conductor = house.begin()
    await house.until(lambda: conductor.current == "r1")
    for name in ("r99", "r1/../../r1"):
        over = await conductor.publish(name, house.said.append)
        assert (over.outcome, over.reason.partition(";")[0]) == ("refused", f"no release {name!r} in {house.objects}")
    assert History(house.objects).latest() == {}


async def test_a_golden_query_refuses(house: House) -> None:
    house.puppets[2].golden = "finds_itself: AssertionError"
    conductor = house.begin()
    await house.until(lambda: conductor.current == "r1")
    over = await conductor.publish("r2", house.said.append)
    assert (over.outcome, over.reason) == ("refused", "golden query: finds_itself: AssertionError")


async def test_two_wishes_at_once_are_not_granted(house: House) -> None:
    conductor = house.begin()
    await house.until(lambda: conductor.current == "r1")
    first = asyncio.create_task(conductor.publish("r2", house.said.append))
    await asyncio.sleep(0)
    denied = await conductor.grant(wishes.Publish("r3"), house.said.append)
    assert (denied.outcome, denied.reason) == (
        "denied", "another release is being verified; wait until that is over",
    )  # fmt: skip
    assert (await first).outcome == "committed"
    cancelled = await conductor.grant(wishes.CancelPublish(), house.said.append)
    assert (cancelled.outcome, cancelled.reason) == ("denied", "cancel: nothing is being published")


async def test_there_and_back(house: House) -> None:
    conductor = house.begin()
    await house.until(lambda: conductor.current == "r1")
    nowhere = await conductor.grant(wishes.Rollback(), house.said.append)
    assert (nowhere.outcome, nowhere.reason) == (
        "denied", "rollback: no release before r1 is known; publish one by its name",
    )  # fmt: skip
    assert (await conductor.grant(wishes.Publish("r2"), house.said.append)).outcome == "committed"
    back = await conductor.grant(wishes.Rollback(), house.said.append)
    assert (back.release, back.outcome, house.log.read().release) == ("r1", "committed", "r1")


async def test_what_was_thrown_away_since_does_not_become_the_current_release(house: House) -> None:
    def say(text: str) -> None:
        if "asking the golden queries" in text:
            house.objects.delete("releases/r2.json")

    conductor = house.begin()
    await house.until(lambda: conductor.current == "r1")
    over = await conductor.publish("r2", say)
    assert (over.outcome, over.reason) == ("refused", f"no release 'r2' in {house.objects}; there are r1, r3")
    assert house.log.read().release == "r1"


async def test_a_way_back_that_was_taken_back_is_none(house: House) -> None:
    house.log.write(Pointer(2, "r2", "r1", author="somebody before"), "", 0.0)
    conductor = house.begin(bake=60)
    await house.until(lambda: conductor.current == "r2")
    back = asyncio.create_task(conductor.grant(wishes.Rollback(), house.said.append))
    await house.until(lambda: conductor.current == "r1")
    there_again = await conductor.grant(wishes.Rollback(), house.said.append)
    assert (there_again.release, there_again.outcome, house.log.read().release) == ("r1", "rolled back", "r2")
    over = await back
    assert (over.release, over.outcome, over.reason) == ("r1", "refused", "it was taken back: asked to go back")


async def test_whoever_waits_hears_that_the_store_cannot_be_used(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> bool:
        raise StoreError("cannot write current: No space left on device")

    conductor = house.begin()
    await house.until(lambda: conductor.current == "r1")
    monkeypatch.setattr(FolderObjects, "create", full)
    publishing = asyncio.create_task(conductor.publish("r2", house.said.append))
    await house.until(lambda: "the store cannot be used: cannot write current: No space left on device" in house.said)
    monkeypatch.undo()
    assert (await publishing).outcome == "committed"


async def test_a_successor_goes_on_from_what_is_there(house: House) -> None:
    house.puppets[0].holds["r2"] = [0]
    house.begin()
    conductor = house.begin()
    await house.until(lambda: all(puppet.holds.keys() == {"r1"} for puppet in house.puppets))
    assert (await conductor.publish("r2", house.said.append)).outcome == "committed"


async def test_a_store_that_is_gone_stops_nothing(house: House) -> None:
    conductor = house.begin()
    await house.until(lambda: conductor.current == "r1")
    shutil.move(house.store, house.store.with_name("away"))
    over = await conductor.publish("r2", house.said.append)
    assert over.outcome == "refused"
    assert conductor.current == "r1"
    assert not house.store.exists(), "nothing is written where the store is to be mounted"
    shutil.move(house.store.with_name("away"), house.store)
    assert (await conductor.publish("r2", house.said.append)).outcome == "committed"


async def test_what_people_are_told_of_a_process(house: House) -> None:
    conductor = house.begin()
    gateway = house.puppets[2]
    gateway.busy = {"r0": 2}
    gateway.keeper.changed()
    assert conductor.releases(gateway) == {"r1": "serving", "r0": "2 in flight"}  # type: ignore[arg-type]  # as above

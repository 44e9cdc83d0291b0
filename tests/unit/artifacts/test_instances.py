"""Instances get what they name, and their hooks run around their life."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, MutableMapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, ClassVar

import pytest
import structlog

import kapelle
from kapelle.artifacts.instances import Instance, build
from kapelle.declare.services import ServiceSpec, service_spec
from tests.unit.artifacts.anywhere import Anywhere


def spec_of(service: type) -> ServiceSpec:
    spec = service_spec(service)
    assert spec is not None
    return spec


async def in_thread(function: Callable[[], Any]) -> Any:
    """As the thread of user code: one call after the other."""
    return await asyncio.to_thread(function)


@kapelle.service(sharded_by="index")
class Cluster:
    def __init__(self, shard: Path) -> None:
        self.shard = shard

    @kapelle.method
    def size(self) -> int:
        raise NotImplementedError


NOTED: ContextVar[tuple[str, ...]] = ContextVar("noted", default=())


@kapelle.service
class Hooked:
    """Notes what happens to it."""

    log: list[str]
    error: BaseException = ValueError("cannot")

    def __init__(self) -> None:
        self.log = ["made"]
        NOTED.set(("made",))
        self.running = asyncio.Event()
        self.in_background = threading.Event()
        self.end = threading.Event()

    @kapelle.method
    def plain(self) -> int:
        raise NotImplementedError

    @kapelle.on_startup
    def b_load(self) -> None:
        NOTED.set((*NOTED.get(), "load"))
        self.log.append(f"load in {threading.current_thread().name != 'MainThread'}")

    @kapelle.on_startup
    async def c_warm_up(self) -> None:
        self.log.append("warm up")

    @kapelle.on_startup(background=True)
    async def a_watch(self) -> None:
        self.log.append("watch")
        self.running.set()
        try:
            await asyncio.Future()
        finally:
            self.log.append("watched")

    @kapelle.on_startup(background=True)
    def a_work(self) -> None:
        self.in_background.set()
        self.end.wait(30)

    @kapelle.on_shutdown
    def d_save(self) -> None:
        self.log.append("save")

    @kapelle.on_shutdown
    async def e_fail(self) -> None:
        raise self.error

    @kapelle.on_shutdown
    async def f_part(self) -> None:
        self.log.append("part")


async def test_each_instance_gets_its_shard() -> None:
    instances = await build(spec_of(Cluster), (0, 3), Anywhere(), in_thread)
    paths = {number: Anywhere().shard("index", number) for number in (0, 3)}
    assert {number: instance.value.shard for number, instance in instances.items()} == paths


@pytest.mark.parametrize("error", [ValueError("cannot"), SystemExit(3), asyncio.CancelledError()])
async def test_hooks_run_around_the_life_of_an_instance(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hooked, "error", error)
    instance = (await build(spec_of(Hooked), [0], Anywhere(), in_thread))[0]
    hooked = instance.value
    assert hooked.log == ["made", "load in True", "warm up"], "what runs in the background comes last"
    assert (instance.context[NOTED], NOTED.get()) == (("made", "load"), ()), "constructor and hooks share a context"
    await hooked.running.wait()
    with structlog.testing.capture_logs() as lines:
        await instance.shutdown()
    assert hooked.log[3:] == ["watch", "watched", "save", "part"]
    (line,) = lines
    assert (line["event"], line["hook"], line["log_level"]) == ("shut-down hook failed", "e_fail", "error")
    hooked.end.set()


async def test_who_shuts_an_instance_down_may_be_stopped() -> None:
    stopping = asyncio.create_task((await build(spec_of(Lasting), [0], Anywhere(), in_thread))[0].shutdown())
    await asyncio.sleep(0)
    stopping.cancel()
    await asyncio.wait({stopping})
    assert stopping.cancelled()


@kapelle.service
class Lasting:
    @kapelle.method
    def plain(self) -> int:
        raise NotImplementedError

    @kapelle.on_shutdown
    async def last(self) -> None:
        await asyncio.Future()


async def test_a_sync_hook_in_the_background_keeps_nobody_waiting() -> None:
    """Not the calls, which need the thread of user code, and not the process, which wants to end."""
    instance = (await build(spec_of(Hooked), [0], Anywhere(), in_thread))[0]
    hooked = instance.value
    assert await asyncio.to_thread(hooked.in_background.wait, 30)
    assert await in_thread(threading.current_thread) is not None
    with structlog.testing.capture_logs():
        await instance.shutdown()
    assert not hooked.end.is_set()
    hooked.end.set()


@kapelle.service
class Failing:
    error: Exception

    @kapelle.method
    def plain(self) -> int:
        raise NotImplementedError

    @kapelle.on_startup(background=True)
    async def watch(self) -> None:
        raise self.error

    @kapelle.on_startup(background=True)
    def work(self) -> None:
        raise self.error


@pytest.mark.parametrize("error", [ValueError("no"), StopIteration()], ids=["error", "stop"])
async def test_a_hook_that_fails_in_the_background_is_logged(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Failing, "error", error, raising=False)
    logged: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    def note(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        logged.put_nowait((event["event"], event["hook"]))
        return event

    with structlog.testing.capture_logs(processors=[note]):
        await build(spec_of(Failing), [0], Anywhere(), in_thread)
        found = [await logged.get(), await logged.get()]
    assert sorted(found) == [("background hook failed", "watch"), ("background hook failed", "work")]


@kapelle.service(sharded_by="index")
class Fragile:
    ended: ClassVar[list[Path]] = []

    def __init__(self, shard: Path) -> None:
        self.shard = shard
        if shard.name == "1":
            raise ValueError("this shard is bad")

    @kapelle.method
    def size(self) -> int:
        raise NotImplementedError

    @kapelle.on_shutdown
    def leave(self) -> None:
        self.ended.append(self.shard)


async def test_when_one_cannot_be_built_the_others_are_shut_down() -> None:
    Fragile.ended.clear()
    with pytest.raises(ValueError, match="this shard is bad"):
        await build(spec_of(Fragile), range(3), Anywhere(), in_thread)
    assert Fragile.ended == [Anywhere().shard("index", 0)]


async def test_an_abort_runs_no_hooks() -> None:
    instance = (await build(spec_of(Hooked), [0], Anywhere(), in_thread))[0]
    hooked = instance.value
    await hooked.running.wait()
    instance.abort()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert hooked.log[3:] == ["watch", "watched"]
    hooked.end.set()


async def test_an_instance_without_hooks_just_lives() -> None:
    instance = Instance(object(), (), in_thread)
    await instance.startup()
    await instance.shutdown()

"""The life of a worker process, from its orders to its exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

import kapelle
from kapelle.config.orders import LOCAL, Holding, Network, WorkerOrders, encode
from kapelle.config.settings import Settings
from kapelle.declare.services import service_spec
from kapelle.errors import StartError
from kapelle.transport import sockets
from kapelle.transport.sockets import Address
from kapelle.wire import messages
from kapelle.worker import main
from tests.unit.transport.lines import Line
from tests.unit.worker.bench import raw

# What a process that never served leaves open, the system closes at its end.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed resource:ResourceWarning")

APP = f"{Path(__file__)}:App"
held = threading.Event()
"""Holds a constructor up until the end of its test."""


@kapelle.service
class Player:
    @kapelle.method
    def play(self, note: str) -> str:
        return f"la {note}"

    @kapelle.method
    async def rest(self) -> None:
        await asyncio.Event().wait()


@kapelle.service
class Sleeper:
    def __init__(self) -> None:
        held.wait()

    @kapelle.method
    def play(self) -> None: ...


@kapelle.service
class Broken:
    def __init__(self) -> None:
        raise ValueError("no\nstrings")

    @kapelle.method
    def play(self) -> None: ...


@kapelle.service
class Cancelling:
    @kapelle.on_startup
    async def begin(self) -> None:
        raise asyncio.CancelledError("given up")

    @kapelle.method
    def play(self) -> None: ...


@kapelle.service(sharded_by="scores")
class Reader:
    def __init__(self, shard: Path) -> None:
        self.path = shard

    @kapelle.method
    def read(self, index: int) -> str:
        return self.path.name


@kapelle.app
class App:
    player: Player

    @kapelle.get("/")
    async def root(self) -> None: ...


class Process:
    """A worker that runs in the loop of the test, on real sockets."""

    def __init__(self, folder: Path, service: type, shards: list[int] | None = None) -> None:
        spec = service_spec(service)
        assert spec is not None
        self._data, self._control = (Address("unix", str(folder / name)) for name in ("data", "control"))
        orders = WorkerOrders(
            target=APP,
            service=spec.name,
            replica=f"{spec.name}-0",
            holding=Holding(LOCAL, shards or [0]),
            artifacts=str(folder),
            store="",
            cache="",
            data=sockets.bind(self._data).detach(),
            control=sockets.bind(self._control).detach(),
            settings=Settings(drain_timeout=0.01),
        )
        self.running = asyncio.create_task(main.serve(spec, orders))

    async def supervisor(self) -> Line:
        return Line(await sockets.connect(self._control), messages.FromProcess)

    async def gateway(self) -> Line:
        line = Line(await sockets.connect(self._data), messages.FromReplica)
        line.say(messages.Hello(messages.PROTOCOL, "gateway-0"))
        return line


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What start-up made is left to this process's own garbage collector."""
    settled: list[str] = []
    monkeypatch.setattr(main, "settle", lambda: settled.append("settled"))
    return settled


@pytest.fixture(autouse=True)
def let_go() -> Any:
    held.clear()
    yield
    held.set()


def call(method: str, *arguments: Any, shard: int = 0) -> messages.Call:
    return messages.Call(1, method, shard, 1, 20.0, "", "", raw(arguments), LOCAL)


async def test_it_starts_serves_and_drains(tmp_path: Path, settled: list[str]) -> None:
    process = Process(tmp_path, Player)
    supervisor = await process.supervisor()
    ready = await supervisor.state("ready")
    assert (ready.pid, ready.in_flight) == (os.getpid(), 0)
    gateway = await process.gateway()
    welcome = await gateway.hears(lambda one: isinstance(one, messages.Welcome))
    assert (welcome.service, welcome.replica, welcome.holds) == ("Player", "Player-0", {LOCAL: [0]})
    gateway.say(call("play", "d"))
    assert (await gateway.hears(lambda one: isinstance(one, messages.Done))).result == raw("la d")
    supervisor.say(messages.Drain(10.0))
    await supervisor.state("draining")
    assert await process.running == 0
    assert settled == ["settled"]
    assert await gateway.ended() == await supervisor.ended() == "closed by the other side"
    with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
        await process.gateway()


async def test_its_metrics_say_whose_they_are(tmp_path: Path) -> None:
    process = Process(tmp_path, Player)
    supervisor = await process.supervisor()
    supervisor.say(messages.Scrape(1))
    scraped = await supervisor.hears(lambda one: isinstance(one, messages.Scraped))
    for words in (b"kapelle_process_cpu_seconds_total", b"Player-0"):
        assert words in bytes(scraped.samples)
    supervisor.say(messages.Drain(10.0))
    await process.running


async def test_each_shard_is_built_from_its_folder(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / "scores" / "shards" / f"{number:03}").mkdir(parents=True)
    process = Process(tmp_path, Reader, [3, 4])
    supervisor = await process.supervisor()
    await supervisor.state("ready")
    gateway = await process.gateway()
    gateway.say(call("read", 1, shard=4))
    assert (await gateway.hears(lambda one: isinstance(one, messages.Done))).result == raw("004")
    supervisor.say(messages.Drain(10.0))
    assert await process.running == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_is_a_request_to_drain(tmp_path: Path, number: signal.Signals) -> None:
    """For as long as the settings allow, which is too short for this call; the exit code tells that it was given up."""
    process = Process(tmp_path, Player)
    await (await process.supervisor()).state("ready")
    gateway = await process.gateway()
    gateway.say(call("rest"))
    gateway.say(messages.Ping(1))
    await gateway.hears(lambda one: isinstance(one, messages.Pong))
    os.kill(os.getpid(), number)
    assert await process.running == 1


async def test_one_that_has_not_begun_to_serve_ends_at_once(tmp_path: Path, settled: list[str]) -> None:
    process = Process(tmp_path, Sleeper)
    supervisor = await process.supervisor()
    await supervisor.state("starting")
    supervisor.say(messages.Drain(10.0))
    supervisor.say(messages.Drain(20.0))
    assert await process.running == 0
    assert settled == []


@pytest.mark.parametrize(
    ("service", "words"), [(Broken, "ValueError: no strings"), (Cancelling, "CancelledError: given up")]
)
async def test_a_start_that_fails_is_the_last_word(tmp_path: Path, service: type, words: str) -> None:
    process = Process(tmp_path, service)
    supervisor = await process.supervisor()
    assert (await supervisor.state("failed")).detail == words
    assert await process.running == 1


def orders(target: str, service: str, control: int) -> WorkerOrders:
    return WorkerOrders(
        target=target,
        service=service,
        replica=f"{service}-0",
        holding=Holding(LOCAL, [0]),
        store="",
        cache="",
        artifacts="",
        data=0,
        control=control,
        settings=Settings(),
    )


def test_the_service_is_found_in_the_app() -> None:
    assert main.load(orders(APP, "Player", 0)).name == "Player"
    for service in ("Sleeper", "player"):
        with pytest.raises(
            StartError, match=rf"test_main\.py:App has no service '{service}' with processes; it has .*Player"
        ):
            main.load(orders(APP, service, 0))


def test_one_of_a_sharded_service_on_a_network_hears_what_it_holds_later() -> None:
    here = orders(APP, "Reader", 0)
    abroad = msgspec.structs.replace(here, network=Network("node-a", 0))
    reader, player = service_spec(Reader), service_spec(Player)
    assert reader is not None
    assert player is not None
    assert main._first(reader, here) == here.holding
    assert main._first(reader, abroad) == Holding("", [])
    assert main._first(player, abroad) == here.holding


async def test_an_app_that_cannot_be_imported_is_told_to_the_supervisor(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import no_such_library")
    address = Address("unix", str(tmp_path / "control"))
    with sockets.bind(address) as control:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "kapelle.worker.main", "Player-0", cwd=tmp_path, pass_fds=[control.fileno()],
            stdin=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        number = control.fileno()
        talking = asyncio.create_task(process.communicate(encode(orders("app.py", "Player", number))))
        supervisor = Line(await sockets.connect(address), messages.FromProcess)
        failed = await supervisor.state("failed")
    assert (failed.detail, failed.pid) == ("ModuleNotFoundError: No module named 'no_such_library'", process.pid)
    _, log = await talking
    assert process.returncode == 1
    assert b"the replica did not start" in log

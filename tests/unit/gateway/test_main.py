"""The life of a gateway process, from its orders to its exit code."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

import kapelle
from kapelle.config.orders import LOCAL, GatewayOrders, encode
from kapelle.config.settings import Settings
from kapelle.declare.apps import app_spec
from kapelle.gateway import doorway, main
from kapelle.gateway.fleet import Fleet
from kapelle.observe.metrics import Registry
from kapelle.transport import sockets
from kapelle.transport.door import borrow_door, open_door
from kapelle.transport.memory import MemoryNetwork
from kapelle.transport.sockets import Address
from kapelle.wire import messages
from kapelle.wire.messages import Member, Members
from tests.unit.gateway.puppets import RELEASE, Puppet
from tests.unit.transport.lines import Line

# What a process that never served leaves open, the system closes at its end.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed resource:ResourceWarning")

PATIENCE = 10.0
held = threading.Event()
"""Holds a constructor up until the end of its test."""


@kapelle.service
class Player:
    @kapelle.method
    def play(self, note: str) -> str:
        raise NotImplementedError


@kapelle.app
class Played:
    player: Player

    @kapelle.get("/")
    async def root(self) -> None: ...


@kapelle.app
class Alone:
    @kapelle.get("/hello")
    async def hello(self) -> str:
        return "hello"

    @kapelle.get("/rest")
    async def rest(self) -> None:
        await asyncio.Event().wait()


@kapelle.app
class Sleeper:
    def __init__(self) -> None:
        held.wait()

    @kapelle.get("/")
    async def root(self) -> None: ...


@kapelle.app
class Broken:
    def __init__(self) -> None:
        raise ValueError("no\nstrings")

    @kapelle.get("/")
    async def root(self) -> None: ...


@kapelle.app
class Cancelling:
    @kapelle.on_startup
    async def begin(self) -> None:
        raise asyncio.CancelledError("given up")

    @kapelle.get("/")
    async def root(self) -> None: ...


class Process:
    """A gateway that runs in the loop of the test, on real sockets."""

    def __init__(self, folder: Path, app: type, **settings: Any) -> None:
        spec = app_spec(app)
        assert spec is not None
        self._control = Address("unix", str(folder / "control"))
        self.lent_at = folder / "door"
        door = open_door("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{door.getsockname()[1]}"
        given = orders("", sockets.bind(self._control).detach(), door.detach(), str(self.lent_at), **settings)
        self.running = asyncio.create_task(main.serve(spec, given))

    async def supervisor(self) -> Line:
        return Line(await sockets.connect(self._control), messages.FromProcess)

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=PATIENCE, trust_env=False)


def orders(target: str, control: int, http: int, door: str, **settings: Any) -> GatewayOrders:
    return GatewayOrders(
        target=target,
        name="gateway-0",
        release=LOCAL,
        artifacts="",
        store="",
        cache="",
        http=http,
        control=control,
        door=door,
        controller="",
        settings=Settings(access_log=False, **settings),
    )


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


# --- the process ------------------------------------------------------------------------------------------------------


async def test_it_starts_serves_and_drains(tmp_path: Path, settled: list[str]) -> None:
    process = Process(tmp_path, Alone)
    supervisor = await process.supervisor()
    supervisor.say(Members(1, []))
    assert (await supervisor.state("ready")).pid == os.getpid()
    assert settled == ["settled"]
    async with process.client() as client:
        assert (await client.get("/hello")).text == "hello"
    borrowed = await borrow_door(process.lent_at, PATIENCE)
    assert borrowed is not None
    with borrowed:
        supervisor.say(messages.Drain(10.0))
        assert await process.running == 0
        assert await supervisor.ended() == "closed by the other side"
    with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
        await process.supervisor()
    assert await borrow_door(process.lent_at, PATIENCE) is None


async def test_it_says_that_it_drains_before_it_turns_anybody_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doorway, "_SETTLE", 1.0)
    process = Process(tmp_path, Alone)
    supervisor = await process.supervisor()
    supervisor.say(Members(1, []))
    await supervisor.state("ready")
    supervisor.say(messages.Drain(10.0))
    await supervisor.state("draining")
    async with process.client() as client:
        late = await client.get("/hello")
        assert (late.text, late.headers["connection"]) == ("hello", "close")
        assert (await client.get("/readyz")).status_code == 503
    assert await process.running == 0


async def test_work_that_does_not_end_in_time_is_told_by_the_exit_code(tmp_path: Path) -> None:
    process = Process(tmp_path, Alone)
    supervisor = await process.supervisor()
    supervisor.say(Members(1, []))
    await supervisor.state("ready")
    async with process.client() as client:
        resting = asyncio.create_task(client.get("/rest"))
        while not (await asked_again(supervisor)).in_flight:
            pass
        supervisor.say(messages.Drain(0.01))
        assert await process.running == 1
        with pytest.raises(httpx.HTTPError):
            await resting


async def asked_again(supervisor: Line) -> messages.Health:
    """What it says of itself now."""
    before = len(supervisor.frames)
    supervisor.say(messages.Probe(1))
    await supervisor.received(before + 1)
    found = supervisor.heard[-1]
    assert isinstance(found, messages.Health)
    return found


async def test_one_that_has_not_begun_to_serve_ends_at_once(tmp_path: Path, settled: list[str]) -> None:
    process = Process(tmp_path, Sleeper)
    supervisor = await process.supervisor()
    await supervisor.state("starting")
    supervisor.say(messages.Drain(10.0))
    supervisor.say(messages.Drain(20.0))
    try:
        assert await process.running == 0
    finally:
        held.set()
    assert settled == []


@pytest.mark.parametrize(
    ("app", "settings", "words"),
    [
        (Broken, {}, "ValueError: no strings"),
        (Cancelling, {}, "CancelledError: given up"),
        (
            Alone,
            {"tls_certificate": "nowhere.pem", "tls_key": "nowhere.pem"},
            "tls_certificate = 'nowhere.pem': No such",
        ),
    ],
)
async def test_a_start_that_fails_is_the_last_word(
    tmp_path: Path, app: type, settings: dict[str, str], words: str
) -> None:
    process = Process(tmp_path, app, **settings)
    supervisor = await process.supervisor()
    assert (await supervisor.state("failed")).detail.startswith(words)
    assert await process.running == 1


async def test_an_app_that_cannot_be_imported_is_told_to_the_supervisor(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import no_such_library")
    address = Address("unix", str(tmp_path / "control"))
    with sockets.bind(address) as control:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "kapelle.gateway.main", "gateway-0", cwd=tmp_path, pass_fds=[control.fileno()],
            stdin=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        given = orders("app.py", control.fileno(), 0, "")
        talking = asyncio.create_task(process.communicate(encode(given)))
        supervisor = Line(await sockets.connect(address), messages.FromProcess)
        failed = await supervisor.state("failed")
    assert (failed.detail, failed.pid) == ("ModuleNotFoundError: No module named 'no_such_library'", process.pid)
    _, log = await talking
    assert process.returncode == 1
    assert b"the gateway did not start" in log


# --- how far it is ----------------------------------------------------------------------------------------------------


class Prelude:
    """A gateway that starts, and one replica that does what the test says."""

    def __init__(self) -> None:
        spec = app_spec(Played)
        assert spec is not None
        self.network = MemoryNetwork()
        self.fleet = Fleet(spec, "gateway-0", self.network.connect, Registry())
        self.fleet.open(RELEASE, {})
        self.fleet.route(RELEASE)
        self.state = main.State(self.fleet)
        self.states: list[str] = []
        self.told: list[int] = []
        self.changed = asyncio.Event()
        self.state.on_change = self._note
        self.state.on_acquainted = self._tell
        self.puppet = Puppet(self.network, "Player-0", [0])

    def announce(self, version: int, *, ready: bool = True) -> None:
        self.state.heard(Members(version, [Member("Player-0", "replica", "Player", [0], "Player-0", "", ready)]))

    async def until(self, happened: Callable[[], object]) -> None:
        while not happened():
            self.changed.clear()
            await self.changed.wait()

    def _note(self) -> None:
        self.states.append(self.state.name)
        self.changed.set()

    def _tell(self, version: int) -> None:
        self.told.append(version)
        self.changed.set()


async def test_it_is_ready_when_it_lets_clients_in_and_reaches_a_replica() -> None:
    prelude = Prelude()
    prelude.announce(1, ready=False)
    assert prelude.told == [1], "nobody serves yet, so there is nobody to reach"
    prelude.announce(2)
    assert prelude.told == [1]
    await prelude.until(lambda: prelude.told == [1, 2])
    assert prelude.states == []
    prelude.state.opened()
    assert prelude.states == ["waiting", "ready"]
    prelude.state.drained()
    prelude.announce(3)
    assert prelude.states == ["waiting", "ready", "draining"], "it stays with that"
    assert prelude.told == [1, 2, 3]
    await prelude.fleet.close()


async def test_it_waits_for_a_replica() -> None:
    prelude = Prelude()
    prelude.state.opened()
    assert prelude.states == ["waiting"]
    prelude.announce(1)
    await prelude.until(lambda: prelude.states == ["waiting", "ready"])
    await prelude.fleet.close()


async def test_clients_are_let_in_once_those_who_are_there_are_reached() -> None:
    prelude = Prelude()
    waiting = asyncio.create_task(prelude.state.acquainted())
    await asyncio.sleep(0)
    assert not waiting.done(), "it does not know yet who is there"
    prelude.announce(1)
    await waiting
    assert prelude.fleet.ready
    await prelude.fleet.close()


async def test_a_replica_that_cannot_be_reached_keeps_no_client_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "_ACQUAINTANCE", 0.01)
    prelude = Prelude()
    prelude.puppet.welcomes = False
    prelude.announce(1)
    await prelude.state.acquainted()
    assert not prelude.fleet.ready
    assert prelude.told == []
    await prelude.fleet.close()

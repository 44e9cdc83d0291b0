"""A replica in a container: it shows its health, and leaves only when others have the shards that it holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from kapelle.config.orders import Holding, Network, WorkerOrders
from kapelle.config.settings import Settings
from kapelle.declare.code import Code
from kapelle.observe.metrics import Registry
from kapelle.transport import sockets
from kapelle.transport.sockets import Address
from kapelle.transport.supervision import Supervised
from kapelle.worker import abroad
from kapelle.worker.abroad import Abroad, AtHome
from kapelle.worker.server import Worker


class Replica:
    """A worker as far as its place looks at it, and the place."""

    def __init__(self, folder: Path, *, sharded: bool = True, attended: bool = True) -> None:
        (folder / "app.py").write_text("x = 1")
        (folder / "secret").write_text("0123456789abcdef" * 2)
        bound = sockets.bind(Address("tcp", "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        self.spec = SimpleNamespace(sharded=sharded)
        self.state, self.detail = "ready", ""
        self.attended = attended
        self.called = False
        self.told: list[str] = []
        self.nobody = asyncio.Event()
        orders = WorkerOrders(
            target=str(folder / "app.py"), service="Part", replica="part-1", holding=Holding("", []), artifacts="",
            store="", cache="", data=0, control=0, settings=Settings(secret_file=str(folder / "secret")),
        )  # fmt: skip
        self.place = Abroad(orders, Network("node-a", bound.detach()))

    def announce(self) -> None:
        self.told.append(self.place.state_of(cast(Worker, self)))

    async def deserted(self, seconds: float) -> None:
        assert seconds > 0
        await self.nobody.wait()

    def ask_to_end(self) -> None:
        self.place.asked_to_end(cast(Worker, self), cast(Supervised, self), lambda: self.told.append("drain"))

    async def health(self, path: str) -> tuple[int, str]:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{self.url}{path}")
            return answer.status_code, answer.text.strip()


@pytest.fixture(autouse=True)
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app's code is a file."""
    monkeypatch.setattr(abroad, "code_of", lambda _: Code("app.py", {"app.py": tmp_path / "app.py"}))


@pytest.fixture
async def replica(tmp_path: Path) -> AsyncIterator[Replica]:
    replica = Replica(tmp_path)
    await replica.place.open(cast(Any, replica), cast(Any, replica), Registry(replica="part-1"))
    yield replica
    replica.place.close()


async def test_it_knows_who_it_is(replica: Replica) -> None:
    about = replica.place.about
    assert about is not None
    assert (about.name, about.role, about.service, about.node) == ("part-1", "replica", "Part", "node-a")
    assert about.code == replica.place.code != ""
    assert replica.place.credentials


async def test_its_health_is_that_of_the_worker(replica: Replica) -> None:
    assert await replica.health("/readyz") == (200, "ok")
    replica.state, replica.detail = "stuck", "run takes long"
    assert await replica.health("/readyz") == (503, "stuck run takes long")
    assert await replica.health("/livez") == (503, "run takes long")
    replica.state, replica.detail = "starting", ""
    assert await replica.health("/readyz") == (503, "starting")
    assert await replica.health("/livez") == (200, "ok")


@pytest.mark.parametrize("linked", ["called", "attended"])
async def test_one_whom_nobody_trusts_is_not_ready(replica: Replica, linked: str) -> None:
    replica.attended = False
    assert await replica.health("/readyz") == (200, "ok"), "nobody has tried yet"
    replica.place.complaints.about("10.0.0.1", "the secret does not match", "see secret_file")
    refused = "every link to it is refused: the secret does not match; see secret_file"
    assert await replica.health("/readyz") == (503, refused)
    assert await replica.health("/livez") == (200, "ok"), "to start it again would not help"
    setattr(replica, linked, True)
    assert await replica.health("/readyz") == (200, "ok")


async def test_it_waits_until_nobody_calls_it(replica: Replica) -> None:
    replica.ask_to_end()
    replica.ask_to_end()
    assert replica.told == ["leaving"]
    assert await replica.health("/readyz") == (503, "leaving")
    replica.nobody.set()
    assert replica.place._waiting is not None
    await replica.place._waiting
    await asyncio.sleep(0)
    assert replica.told == ["leaving", "drain"]


@pytest.mark.parametrize("why", ["no shards", "nobody attends", "not ready"])
async def test_it_goes_at_once_where_waiting_helps_nobody(why: str, tmp_path: Path) -> None:
    replica = Replica(tmp_path, sharded=why != "no shards", attended=why != "nobody attends")
    replica.state = "starting" if why == "not ready" else "ready"
    await replica.place.open(cast(Any, replica), cast(Any, replica), Registry(replica="part-1"))
    replica.ask_to_end()
    assert replica.told == ["drain"]
    replica.place.close()


async def test_at_home_it_goes_at_once(replica: Replica) -> None:
    home = AtHome()
    home.asked_to_end(cast(Worker, replica), cast(Supervised, replica), lambda: replica.told.append("drain"))
    assert replica.told == ["drain"]
    assert home.state_of(cast(Worker, replica)) == "ready"
    home.close()


async def test_what_it_drops_is_cleared_from_the_cache(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    tidied = asyncio.Queue[tuple[object, ...]]()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(abroad, "tidy", lambda *what: loop.call_soon_threadsafe(tidied.put_nowait, what))
    held = type("Held", (), {"holds": {"r7": [0]}})()
    AtHome().dropped(cast(Any, held))
    replica.place.dropped(cast(Any, held))
    _, _, kept = await tidied.get()
    assert kept == ["r7"]
    assert tidied.empty()

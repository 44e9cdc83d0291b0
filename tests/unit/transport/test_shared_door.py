"""A door that is lent: to all who ask, while they come and go, and by another keeper when the first one is gone."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from kapelle.transport import shared_door
from kapelle.transport.door import open_door
from kapelle.transport.shared_door import DoorKeeper, follow_door, take_door


class House:
    """Doors of one machine, and their keepers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._doors: list[socket.socket] = []
        self._keepers: list[DoorKeeper] = []

    def keep(self) -> tuple[DoorKeeper, socket.socket]:
        """Another door, lent from now on."""
        door = open_door("127.0.0.1", 0)
        self._doors.append(door)
        self._keepers.append(DoorKeeper(self.folder, door))
        return self._keepers[-1], door

    async def take(self) -> socket.socket:
        taken = await asyncio.to_thread(take_door, self.folder)
        self._doors.append(taken)
        return taken

    def close(self) -> None:
        for keeper in self._keepers:
            if keeper._listener.fileno() >= 0:
                keeper.close()
        for door in self._doors:
            door.close()


class Follower:
    """A gateway that has taken a door; ``moves`` are the doors that it was told of since."""

    def __init__(self, folder: Path, door: socket.socket) -> None:
        self.moves: asyncio.Queue[socket.socket] = asyncio.Queue()
        self._task = asyncio.create_task(follow_door(folder, door, self.moves.put))

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    yield house
    house.close()


async def until(happened: Callable[[], object]) -> None:
    while not happened():  # noqa: ASYNC110 - nobody is told of who has borrowed what
        await asyncio.sleep(0)


async def test_all_who_ask_let_clients_in_at_the_same_door(house: House) -> None:
    _, door = house.keep()
    gateways = [await house.take() for _ in range(3)]
    loop = asyncio.get_running_loop()
    for gateway in gateways:
        assert gateway.getsockname() == door.getsockname()
        assert not gateway.get_inheritable()
        client = socket.socket()
        client.setblocking(False)
        await loop.sock_connect(client, door.getsockname())
        inside, _ = await loop.sock_accept(gateway)
        await loop.sock_sendall(client, b"hello")
        assert await loop.sock_recv(inside, 100) == b"hello"
        inside.close()
        client.close()


async def test_the_keeper_knows_who_has_it(house: House) -> None:
    keeper, _ = house.keep()
    followers = [Follower(house.folder, await house.take()) for _ in range(2)]
    await until(lambda: keeper.borrowers == 2)
    await followers[0].end()
    await until(lambda: keeper.borrowers == 1)
    await followers[1].end()
    await until(lambda: keeper.borrowers == 0)


async def test_a_gateway_moves_to_the_next_door(house: House) -> None:
    keeper, before = house.keep()
    follower = Follower(house.folder, await house.take())
    await until(lambda: keeper.borrowers == 1)
    for _ in range(2):
        keeper.close()
        with capture_logs() as logs:
            keeper, door = house.keep()
            found = await follower.moves.get()
        assert found.getsockname() == door.getsockname() != before.getsockname()
        assert [said["event"] for said in logs] == ["the door is another one; clients are let in there"]
        found.close()
        await until(lambda: keeper.borrowers == 1)  # noqa: B023 - awaited before it changes
    assert follower.moves.empty()
    await follower.end()


async def test_the_same_door_from_another_keeper_moves_nobody(house: House) -> None:
    keeper, door = house.keep()
    follower = Follower(house.folder, await house.take())
    await until(lambda: keeper.borrowers == 1)
    keeper.close()
    again = DoorKeeper(house.folder, door)
    await until(lambda: again.borrowers == 1)
    assert follower.moves.empty()
    await follower.end()
    again.close()


async def test_a_door_that_is_there_late_is_waited_for(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    looked, there = threading.Event(), threading.Event()

    def pause(_: float) -> None:
        looked.set()
        assert there.wait(30)

    monkeypatch.setattr("time.sleep", pause)
    with capture_logs() as logs:
        taking = asyncio.create_task(house.take())
        await asyncio.to_thread(looked.wait, 30)
        _, door = house.keep()
        there.set()
        taken = await taking
    assert taken.getsockname() == door.getsockname()
    assert [said["event"] for said in logs] == ["waiting for the door"]


async def test_what_gateways_that_are_gone_left_is_cleared_away(house: House) -> None:
    _, _ = house.keep()
    for name in ("gone.door", "gone.heir", "alive.door", "alive.heir"):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(house.folder / name))
        if name.startswith("alive"):
            listener.listen()
            house._doors.append(listener)
        else:
            listener.close()
    (house.folder / "notes.txt").write_text("nobody's business")
    await house.take()
    assert {one.name for one in house.folder.iterdir()} == {"alive.door", "alive.heir", "entrance", "notes.txt"}


async def test_it_is_lent_to_a_bounded_number(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_door, "_MANY", 1)
    keeper, _ = house.keep()
    follower = Follower(house.folder, await house.take())
    await until(lambda: keeper.borrowers == 1)
    assert await asyncio.to_thread(shared_door._borrow, house.folder) is None
    assert keeper.borrowers == 1
    await follower.end()


async def test_whoever_asks_and_leaves_at_once_is_forgotten(house: House) -> None:
    keeper, _ = house.keep()
    for _ in range(3):
        with socket.socket(socket.AF_UNIX) as channel:
            channel.connect(str(house.folder / "entrance"))
    await house.take()
    await until(lambda: keeper.borrowers == 0)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        take_door(tmp_path / "nowhere")

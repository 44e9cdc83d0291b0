"""The door opens, is lent over a Unix socket, and stays one and the same whoever holds it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from kapelle.transport.door import Lender, borrow_door, claim, is_door_to, open_door

PATIENCE = 10.0


def open_handles() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture
def door() -> Iterator[socket.socket]:
    with open_door("127.0.0.1", 0) as door:
        yield door


@pytest.fixture
async def lender(door: socket.socket, tmp_path: Path) -> AsyncIterator[Lender]:
    lender = Lender(tmp_path / "door", door)
    yield lender
    lender.close()


def test_it_listens_and_makes_nobody_wait(door: socket.socket) -> None:
    assert not door.getblocking()
    with pytest.raises(BlockingIOError):
        door.accept()
    with socket.create_connection(door.getsockname()) as client:
        accepted, _ = door.accept()
        with accepted:
            assert accepted.getpeername() == client.getsockname()


def test_a_port_that_is_taken_is_an_error_and_leaks_nothing(door: socket.socket) -> None:
    before = open_handles()
    with pytest.raises(OSError, match="in use"):
        open_door(*door.getsockname())
    assert open_handles() == before


@pytest.mark.parametrize("host", ["", "..", "a" * 300])
def test_a_name_that_none_could_have_is_not_found(host: str) -> None:
    with pytest.raises(OSError, match="not known"):
        open_door(host, 0)


def test_it_may_be_opened_again_at_once() -> None:
    """Connections of the one before, which the kernel remembers for a while, are no obstacle."""
    with open_door("127.0.0.1", 0) as first:
        address = first.getsockname()
        with socket.create_connection(address) as client:
            accepted, _ = first.accept()
            accepted.close()
            assert client.recv(1) == b""
    open_door(*address).close()


def test_it_is_recognised_by_its_address(door: socket.socket) -> None:
    port = door.getsockname()[1]
    for host in ("127.0.0.1", "localhost"):
        assert is_door_to(door, host, port)
        assert is_door_to(door, host, 0), "any port will do"
        assert not is_door_to(door, host, port + 1 if port < 65535 else 1024)
    assert not is_door_to(door, "127.0.0.2", port)
    assert not is_door_to(door, "0.0.0.0", port)


async def test_what_is_lent_is_the_door_itself(door: socket.socket, lender: Lender, tmp_path: Path) -> None:
    borrowed = await borrow_door(tmp_path / "door", PATIENCE)
    assert borrowed is not None
    address = door.getsockname()
    with borrowed, socket.create_connection(address) as early:
        door.close()
        accepted, _ = borrowed.accept()
        with accepted:
            assert accepted.getpeername() == early.getsockname(), "who waited in the queue is still there"
        assert is_door_to(borrowed, *address)
        assert not borrowed.getblocking()
        assert not borrowed.get_inheritable()


async def test_it_is_lent_to_everybody_who_asks(lender: Lender, tmp_path: Path) -> None:
    before = open_handles()
    doors = await asyncio.gather(*(borrow_door(tmp_path / "door", PATIENCE) for _ in range(5)))
    assert all(doors)
    for one in doors:
        assert one is not None
        one.close()
    assert open_handles() == before, "and whoever lends keeps nothing of it"


async def test_a_borrower_that_is_gone_again_is_no_loss(lender: Lender, tmp_path: Path) -> None:
    for _ in range(3):
        with socket.socket(socket.AF_UNIX) as hasty:
            hasty.connect(str(tmp_path / "door"))
    borrowed = await borrow_door(tmp_path / "door", PATIENCE)
    assert borrowed is not None
    borrowed.close()


async def test_a_path_that_was_left_behind_is_taken_over(door: socket.socket, tmp_path: Path) -> None:
    (tmp_path / "door").touch()
    lender = Lender(tmp_path / "door", door)
    borrowed = await borrow_door(tmp_path / "door", PATIENCE)
    assert borrowed is not None
    borrowed.close()
    lender.close()
    assert await borrow_door(tmp_path / "door", PATIENCE) is None, "after the end nothing is lent"


@pytest.mark.parametrize("obstacle", ["nothing there", "no socket", "silent", "empty-handed"])
async def test_nobody_lends_it(obstacle: str, tmp_path: Path) -> None:
    path = tmp_path / "door"
    before = open_handles()
    with socket.socket(socket.AF_UNIX) as other:
        if obstacle == "no socket":
            path.touch()
        elif obstacle != "nothing there":
            other.bind(str(path))
            other.listen()
        asking = asyncio.create_task(borrow_door(path, 0.05 if obstacle == "silent" else PATIENCE))
        if obstacle == "empty-handed":
            channel, _ = await asyncio.to_thread(other.accept)
            with channel:
                channel.send(b"door")
        assert await asking is None
    assert open_handles() == before


def test_any_free_port_has_a_free_one_after_it() -> None:
    with open_door("127.0.0.1", 0) as door, claim("127.0.0.1", door.getsockname()[1] + 1) as kept:
        port = kept.getsockname()[1]
        # Others that share it may listen there, nobody else may.
        with socket.socket() as other, socket.socket() as sharing:
            with pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", port))
            sharing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sharing.bind(("127.0.0.1", port))
            sharing.listen()
            with socket.create_connection(("127.0.0.1", port)) as client, sharing.accept()[0] as accepted:
                assert accepted.getpeername() == client.getsockname()


def test_a_port_that_is_taken_cannot_be_kept() -> None:
    with open_door("127.0.0.1", 0) as door, pytest.raises(OSError, match="in use"):
        claim(*door.getsockname())
    with pytest.raises(OSError, match="no port 65536"):
        claim("127.0.0.1", 65536)

"""Large frames go through memory that both sides map, once they do; whatever goes wrong, they still arrive."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kapelle.observe.metrics import Registry
from kapelle.transport import sockets
from kapelle.transport.connection import BULK
from kapelle.transport.sharing import Arenas
from kapelle.types.arrays import Array
from kapelle.wire.payload import Packer, Unpacker
from tests.unit.transport.ends import End, Network, open_network

MIB = 1 << 20
PICTURE = np.arange(150_528, dtype=np.float32)


class Side:
    """A process, as far as connections see one."""

    def __init__(self, folder: Path, name: str, room: int = 8 * MIB) -> None:
        self.registry = Registry()
        self.arenas = Arenas(room, self.registry)
        self.address = sockets.Address("unix", str(folder / name))
        self.accepted: asyncio.Queue[End] = asyncio.Queue()
        self.ends: list[End] = []

    async def listen(self) -> None:
        self.server = await sockets.serve(
            sockets.bind(self.address), lambda one: self.accepted.put_nowait(End(self.arenas.accepted(one)).start())
        )

    async def connect(self, other: Side) -> tuple[End, End]:
        """Both ends of a connection."""
        here = End(self.arenas.dialled(await sockets.connect(other.address))).start()
        self.ends.append(here)
        here.connection.send(b"hello")
        there = await other.accepted.get()
        await there.received(1)
        there.frames.clear()
        return here, there

    def fallbacks(self, reason: str) -> float:
        families = {family.name: family for family in self.registry.collect()}
        samples = families["kapelle_shared_memory_fallbacks_total"].samples
        return sum(one.value for one in samples if dict(one.labels)["reason"] == reason)


@pytest.fixture
async def sides(tmp_path: Path) -> AsyncIterator[list[Side]]:
    sides = [Side(tmp_path, name) for name in "abc"]
    for side in sides:
        await side.listen()
    yield sides
    for side in sides:
        for end in side.ends:
            end.connection.abort()
            await end.ended()
        side.arenas.close()
        side.server.close()
        await side.server.wait_closed()


def send(end: End, value: Any) -> None:
    data, segments = Packer()(value)
    end.connection.send(bytes(data), segments)


async def arrives(end: End) -> Any:
    """The next value that comes, large arrays as views of what came."""
    (frame,) = await end.received(1)
    end.frames.clear()
    return Unpacker(Any)(frame.head, frame.body)  # type: ignore[arg-type]  # Raw is a kind of bytes


async def acquainted(here: End, there: End) -> None:
    """Send until frames go through memory: the first one asks the other side to map it."""
    for sender, receiver in ((here, there), (there, here)):
        async with asyncio.timeout(10):
            while True:
                send(sender, PICTURE)
                if shared(await arrives(receiver)):
                    break


def shared(array: Array) -> bool:
    """Whether an array lies in an arena."""
    base: Any = array
    while isinstance(base, np.ndarray | memoryview):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    return type(base).__name__ == "Lease"


async def quiet(side: Side) -> None:
    """Return when nothing of the side's arena is in use."""
    own = side.arenas.own
    assert own is not None
    async with asyncio.timeout(10):
        while own.used:
            gc.collect()
            own.collect()
            await asyncio.sleep(0)


async def test_arrays_are_written_once_and_mapped(sides: list[Side]) -> None:
    here, there = await sides[0].connect(sides[1])
    send(here, PICTURE)
    assert not shared(await arrives(there)), "nobody had mapped anything before"
    await acquainted(here, there)
    several = {"one": PICTURE, "two": PICTURE[::3].astype(np.int16), "small": np.arange(9), "text": "x"}
    came = None
    for sender, receiver in ((here, there), (there, here)):
        send(sender, several)
        came = await arrives(receiver)
        assert came["text"] == "x"
        for name in ("one", "two", "small"):
            np.testing.assert_array_equal(came[name], several[name])
            assert shared(came[name]) == (name != "small")
            assert not came[name].flags.writeable
    del came
    for side in sides[:2]:
        await quiet(side)


async def test_what_is_passed_on_is_not_copied(sides: list[Side]) -> None:
    a, b, c = sides
    to_a, from_a = await b.connect(a)
    to_c, from_c = await b.connect(c)
    await acquainted(to_a, from_a)
    await acquainted(to_c, from_c)

    async def pass_on() -> tuple[Any, int]:
        """What arrives at c, and what b laid into its own arena for that."""
        send(from_a, [PICTURE, PICTURE + 1])
        came = await arrives(to_a)
        used = b.arenas.used
        send(to_c, {"first": came[0][:100_000], "own": PICTURE * 2, "second": came[1]})
        return await arrives(from_c), b.arenas.used - used

    await pass_on()  # c maps a's arena
    passed, laid = await pass_on()
    gc.collect()
    np.testing.assert_array_equal(passed["first"], PICTURE[:100_000])
    np.testing.assert_array_equal(passed["second"], PICTURE + 1)
    np.testing.assert_array_equal(passed["own"], PICTURE * 2)
    assert laid <= PICTURE.nbytes + 4096, "only what is its own"
    assert len([arena for arena in c.arenas._mapped.values() if arena.leases]) == 2
    send(from_c, passed["second"])
    back = await arrives(to_c)
    send(to_a, back)
    np.testing.assert_array_equal(await arrives(from_a), PICTURE + 1)
    del passed, back
    for side in sides:
        await quiet(side)


async def test_a_full_arena_is_no_error(sides: list[Side]) -> None:
    here, there = await sides[0].connect(sides[1])
    await acquainted(here, there)
    kept = []
    for number in range(20):
        send(here, PICTURE + number)
        kept.append(await arrives(there))
    assert 10 < sum(map(shared, kept)) < 20
    assert sides[0].fallbacks("full") == 20 - sum(map(shared, kept))
    for number, array in enumerate(kept):
        np.testing.assert_array_equal(array, PICTURE + number)
    kept.clear()
    del array
    await quiet(sides[0])
    send(here, PICTURE)
    assert shared(await arrives(there))


async def test_a_side_that_cannot_map_gets_frames_as_they_are(
    sides: list[Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sides[1].arenas, "attach", lambda _: False)
    here, there = await sides[0].connect(sides[1])
    for _ in range(3):
        send(here, PICTURE)
        assert not shared(await arrives(there))
    there.connection.send(b"ok")
    await here.received(1)
    assert sides[0].fallbacks("unreachable") == 1
    assert sides[0].arenas.used == 0


async def test_a_side_without_memory_shares_none(tmp_path: Path) -> None:
    side = Side(tmp_path, "none", room=0)
    async with open_network("unix", tmp_path) as network:
        here, _ = await network.unstarted()
        assert side.arenas.dialled(here.connection) is here.connection


async def test_whoever_does_not_say_that_it_shares_hears_nothing_of_it(sides: list[Side]) -> None:
    plain = End(await sockets.connect(sides[0].address)).start()
    sides[0].ends.append(plain)
    plain.connection.send(b"hello")
    there = await sides[0].accepted.get()
    for _ in range(3):
        send(there, PICTURE)
        assert not shared(await arrives(plain))
    assert sides[0].arenas.used == 0


async def test_what_was_sent_stays_until_the_other_side_has_it(sides: list[Side]) -> None:
    here, there = await sides[0].connect(sides[1])
    await acquainted(here, there)
    await quiet(sides[0])
    send(here, PICTURE)
    gc.collect()
    own = sides[0].arenas.own
    assert own is not None
    own.collect()
    assert own.used >= PICTURE.nbytes, "nobody has taken it yet"
    np.testing.assert_array_equal(await arrives(there), PICTURE)
    await quiet(sides[0])
    here.connection.send(b"large", [bytes(BULK)])
    here.connection.abort()
    await here.ended()
    await there.ended()
    there.frames.clear()
    await quiet(sides[0])


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xc1", b"\xc1x", b"\xc1t", b"\xc1t\xff\xff\xff\xff", b"\xc1mnobody", b"\xc1s", b"\xc1s\xff\xff", b"\xc1s\x01\x00\x05",
        b"\xc1s\x0c\x00\x91\x92\x00\x95\xa1x\x00\x00\x00\x05head",
        # Pieces before the beginning of a body, and beyond the end of any.
        b"\xc1s\x0a\x00\x91\x92\xff\x95\xa1x\x00\x00\x00\x05head",
        b"\xc1s\x0e\x00\x91\x92\xce\xff\xff\xff\xff\x95\xa1x\x00\x00\x00\x05head",
    ],
)  # fmt: skip
async def test_garbage_ends_the_connection(network_of_two: Network, garbage: bytes) -> None:
    here, there = await network_of_two.connect()
    here.connection._inner.send(garbage)  # type: ignore[attr-defined]  # it is a shared one
    await there.ended()


@pytest.fixture
async def network_of_two(tmp_path: Path) -> AsyncIterator[Network]:
    async with open_network("shared", tmp_path) as network:
        yield network

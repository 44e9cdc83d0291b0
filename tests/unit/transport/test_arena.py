"""Blocks are used by those who say so, for as long as they do or live; nobody else's bytes are ever in them."""

from __future__ import annotations

import fcntl
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kapelle.errors import WireError
from kapelle.transport.arena import _SEALS, BLOCKS, USERS, Arena, Lease, OwnArena, Place, aligned
from tests.unit.transport.test_door import open_handles

MIB = 1 << 20
HOLDER = Path(__file__).with_name("holder_of_leases.py")


@pytest.fixture
def own() -> OwnArena:
    return OwnArena(4 * MIB)


class Holder:
    """Another process that holds leases."""

    def __init__(self, arena: Arena) -> None:
        self.process = subprocess.Popen(
            [sys.executable, HOLDER, arena.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert self.hears() == "attached"

    def hears(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def lease(self, place: Place) -> str:
        assert self.process.stdin is not None
        print(*place[1:], file=self.process.stdin, flush=True)
        return self.hears()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def holders(own: OwnArena) -> Iterator[list[Holder]]:
    holders = [Holder(own) for _ in range(2)]
    yield holders
    for holder in holders:
        holder.kill()


def put(own: OwnArena, *parts: bytes) -> Lease:
    lease = own.put(parts)
    assert lease is not None
    return lease


def test_what_is_put_there_is_there_and_cannot_be_written_to(own: OwnArena) -> None:
    lease = put(own, b"x" * 100_001, b"second")
    array = np.asarray(lease)
    assert bytes(lease.bytes[:100_001]) == b"x" * 100_001
    assert bytes(lease.bytes[100_016:100_022]) == b"second", "each part is aligned"
    assert not array.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1
    assert own.used >= 100_022


def test_a_block_is_free_when_the_last_array_over_it_is_gone(own: OwnArena) -> None:
    lease = put(own, b"a" * MIB)
    view = np.frombuffer(lease.bytes, np.uint8)[10:20].reshape(2, 5)
    place = lease.place
    del lease
    gc.collect()
    own.collect()
    assert own.used == MIB
    assert bytes(view) == b"a" * 10
    del view
    own.collect()
    assert own.used == 0
    again = put(own, b"b" * MIB)
    assert (again.place.offset, again.place.turn) == (place.offset, place.turn + 1)
    with pytest.raises(WireError, match="given to others"):
        own.lease(place)
    assert own.leases == 1, "what could not be had is not held"


def test_nothing_is_given_out_twice_and_a_full_arena_says_so(own: OwnArena) -> None:
    leases = [put(own, bytes([number]) * MIB) for number in range(4)]
    assert own.put([b"x" * 10]) is None
    assert [lease.bytes[0] for lease in leases] == [0, 1, 2, 3]
    del leases[1]
    assert put(own, b"y" * MIB).bytes[-1] == ord("y")


def test_there_are_only_so_many_blocks() -> None:
    own = OwnArena((BLOCKS + 10) * 4096)
    leases = [put(own, b"x") for _ in range(BLOCKS)]
    assert own.put([b"x"]) is None
    leases.pop()
    assert own.put([b"x"]) is not None


def test_another_process_keeps_a_block_until_it_is_killed(own: OwnArena, holders: list[Holder]) -> None:
    lease = put(own, b"hello" * 1000)
    place = lease.place
    assert [holder.lease(place) for holder in holders] == ["hello", "hello"]
    del lease
    own.collect()
    assert own.used > 0
    holders[0].kill()
    own.tend()
    assert own.used > 0, "the other one still has it"
    holders[1].kill()
    own.tend()
    assert own.used == 0
    successor = Holder(own)
    assert successor.lease(put(own, b"fresh" * 1000).place) == "fresh"
    successor.kill()


def test_a_full_arena_takes_back_what_the_dead_had(own: OwnArena, holders: list[Holder]) -> None:
    for _ in range(4):
        assert holders[0].lease(put(own, b"right" * (MIB // 5)).place) == "right"
    assert own.put([b"x" * MIB]) is None
    holders[0].kill()
    assert own.put([b"x" * MIB]) is not None


def test_memory_outlives_whoever_gave_it() -> None:
    program = (
        "from kapelle.transport.arena import OwnArena\n"
        "own = OwnArena(1 << 20); lease = own.put([b'still here']); print(own.name, *lease.place[1:], flush=True); input()"
    )
    owner = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    name, *numbers = owner.stdout.readline().split()
    arena = Arena.attach(name)
    lease = arena.lease(Place(name, *map(int, numbers)))
    states = [arena.lives]
    owner.kill()
    owner.communicate()
    states.append(arena.lives)
    assert states == [True, False]
    assert bytes(lease.bytes[:10]) == b"still here"
    with pytest.raises(OSError, match=name.split(".")[0]):
        Arena.attach(name)


def test_memory_goes_back_to_the_machine_when_nothing_is_in_use(own: OwnArena) -> None:
    def taken() -> int:
        return os.fstat(own._file).st_blocks * 512

    lease = put(own, b"x" * (3 * MIB))
    assert taken() >= 3 * MIB
    own.tend()
    assert taken() >= 3 * MIB
    del lease
    own.tend()
    assert taken() < MIB
    assert put(own, b"y" * MIB).bytes[MIB - 1] == ord("y")


@pytest.mark.parametrize("offset", [0, 4095, 4 * MIB + (1 << 20), -1])
def test_places_outside_are_refused(own: OwnArena, offset: int) -> None:
    for block in (0, -1, BLOCKS):
        with pytest.raises(WireError, match="of an arena of"):
            own.lease(Place(own.name, block, 0, offset, 10))
    with pytest.raises(WireError, match="of an arena of"):
        own.lease(Place(own.name, 0, 0, MIB, -5))


@pytest.mark.parametrize("name", ["", "1", "a.b.c", "..", "-1.3.x", "1.2", "1.2."])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(WireError, match="no arena's name"):
        Arena.attach(name)


def test_files_that_are_no_arenas(tmp_path: Path) -> None:
    before = open_handles()
    with (tmp_path / "file").open("wb") as file, pytest.raises(WireError, match="is no arena"):
        Arena.attach(f"{os.getpid()}.{file.fileno()}.label")
    for sealed, size, reason in ((False, 1 << 20, "could shrink"), (True, 100, "is no arena")):
        number = os.memfd_create("kapelle-arena-label", os.MFD_ALLOW_SEALING)
        os.ftruncate(number, size)
        if sealed:
            fcntl.fcntl(number, fcntl.F_ADD_SEALS, _SEALS)
        with pytest.raises(WireError, match=reason):
            Arena.attach(f"{os.getpid()}.{number}.label")
        os.close(number)
    assert open_handles() == before


def test_there_is_room_for_so_many_users(own: OwnArena) -> None:
    users = [Arena.attach(own.name) for _ in range(USERS - 1)]
    assert sorted(one.user for one in users) == list(range(1, USERS))
    with pytest.raises(WireError, match="no room for more"):
        Arena.attach(own.name)
    gone = users.pop(7)
    number = gone.user
    del gone
    gc.collect()
    assert Arena.attach(own.name).user == number


def test_leases_end_in_any_thread(own: OwnArena) -> None:
    other = Arena.attach(own.name)
    lease = put(own, b"x" * 5000)
    place = lease.place

    def take_and_leave() -> None:
        for _ in range(2000):
            other.lease(place)

    threads = [threading.Thread(target=take_and_leave) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert other.leases == 0
    del lease
    own.collect()
    assert own.used == 0


def test_what_a_forked_child_drops_its_parent_still_uses(own: OwnArena) -> None:
    other = Arena.attach(own.name)
    leases = [put(own, b"x" * 5000)]
    leases.append(other.lease(leases[0].place))
    child = os.fork()
    if not child:
        leases.clear()
        os._exit(0)
    os.waitpid(child, 0)
    own.collect()
    assert own.used > 0
    leases.clear()
    own.collect()
    assert own.used == 0


class Life(RuleBasedStateMachine):
    """Processes put, take, pass on and drop arrays in any order; here, all of them are this one."""

    def __init__(self) -> None:
        super().__init__()
        self.own = OwnArena(1 << 16)
        self.others = [Arena.attach(self.own.name) for _ in range(2)]
        self.held: list[tuple[Lease, bytes]] = []
        self.known: list[tuple[Place, bytes]] = []
        self.count = 0

    @rule(sizes=st.lists(st.integers(1, 9000), min_size=1, max_size=3))
    def give(self, sizes: list[int]) -> None:
        self.count += 1
        parts = [bytes([(self.count + at) % 251]) * size for at, size in enumerate(sizes)]
        lease = self.own.put(parts)
        if lease is None:
            assert self.own.used > 0, "an empty arena has room"
            return
        whole = b"".join(part + b"\0" * (aligned(len(part)) - len(part)) for part in parts)
        held = {(other.place.block, other.place.turn) for other, _ in self.held}
        assert (lease.place.block, lease.place.turn) not in held, "given out twice"
        begin = 0
        for part in parts:
            assert lease.bytes[begin : begin + len(part)] == part
            begin += aligned(len(part))
        self.held.append((lease, bytes(lease.bytes)))
        self.known.append((lease.place, whole))

    @precondition(lambda self: self.known)
    @rule(which=st.integers(0, 200), who=st.integers(0, 1))
    def take(self, which: int, who: int) -> None:
        place, _ = self.known[which % len(self.known)]
        still = [kept for lease, kept in self.held if lease.place == place]
        try:
            lease = self.others[who].lease(place)
        except WireError:
            assert not still, "what somebody holds can be taken"
        else:
            if still:
                assert lease.bytes == still[0]
            self.held.append((lease, bytes(lease.bytes)))

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 200))
    def drop(self, which: int) -> None:
        self.held.pop(which % len(self.held))

    @rule()
    def collect(self) -> None:
        self.own.collect()
        if not self.held:
            assert self.own.used == 0

    @rule()
    def tend(self) -> None:
        self.own.tend()

    @invariant()
    def nothing_changes_while_it_is_held(self) -> None:
        for lease, kept in self.held:
            assert lease.bytes == kept

    def teardown(self) -> None:
        self.held.clear()
        self.own.collect()
        assert self.own.used == 0


TestLife = Life.TestCase

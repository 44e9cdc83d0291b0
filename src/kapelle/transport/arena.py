"""An arena: memory of one process that others on its machine map, for large arrays that are on their way or in use.

It is a file without a name (``memfd``): when the last process that maps it is gone, so is the memory, whatever ended
them. At its beginning is a table with a row for each block and, in it, a byte for each process. Who uses a block says so
in its own byte and in no other, so that nothing has to be agreed upon; a block with an empty row is free. A byte belongs
to the process that holds a lock on its number, which the kernel takes from whoever dies: what a dead process still used
is struck out then. A block that changes hands is used by the giver until the taker has said that it has it.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kapelle.core.space import GRAIN, Space
from kapelle.errors import WireError
from kapelle.ids import random_id
from kapelle.types.arrays import Array
from kapelle.wire.body import Buffer
from kapelle.wire.payload import ALIGNMENT

USERS = 64
"""Processes that may use blocks of an arena at a time; the first is the one whose it is."""
BLOCKS = 1024
"""Blocks at a time."""
_USED = BLOCKS * USERS
_TABLE = _USED + 4 * BLOCKS  # beside who uses it, how often each block was given out
_NOBODY = bytes(USERS)
_NAME = "kapelle-arena-"
# Not every system has them; there, nobody makes an arena.
_SEALS = sum(getattr(fcntl, name, 0) for name in ("F_SEAL_SHRINK", "F_SEAL_GROW", "F_SEAL_SEAL"))
# Locks of an open file, which no other file's end takes away as it does those of a process.
_OFD_SETLK = 37
_MADV_REMOVE = 9
_LOCK = struct.Struct("hhqqi4x")


class Place(NamedTuple):
    """Where ``length`` bytes lie: at ``offset`` in a ``block`` of an arena that was given out ``turn`` times before."""

    arena: str
    block: int
    turn: int
    offset: int
    length: int


class Lease:
    """The use of some bytes of an arena, until nobody refers to it; arrays over them do."""

    __slots__ = ("_arena", "_number", "address", "place")

    def __init__(self, arena: Arena, number: int, place: Place) -> None:
        self.place = place
        self.address = arena.address + place.offset
        self._arena = arena
        self._number = number

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """What NumPy makes an array of that may not be written to, and that refers to this."""
        return {"data": (self.address, True), "shape": (self.place.length,), "typestr": "|u1", "version": 3}

    @property
    def bytes(self) -> memoryview:
        """The bytes themselves, not to be written to."""
        return np.asarray(self).data

    def part(self, begin: int, length: int) -> Place:
        """The place of some of them."""
        arena, block, turn, offset, _ = self.place
        return Place(arena, block, turn, offset + begin, length)

    def __del__(self) -> None:
        self._arena.leave(self.place.block, self._number)


class Arena:
    """An arena as a process maps it that uses blocks of it as its ``user``-th."""

    def __init__(self, name: str, file: int, user: int) -> None:
        self.name = name
        self.user = user
        self._file = file
        self._map = mmap.mmap(file, os.fstat(file).st_size)
        self._bytes: Array = np.frombuffer(self._map, np.uint8)
        self._table = self._bytes[:_USED].reshape(BLOCKS, USERS)
        self._turns = self._bytes[_USED:_TABLE].view(np.uint32)
        self.address: int = self._bytes.__array_interface__["data"][0]
        self._leases: dict[int, set[int]] = {}
        self._count = 0
        # A lease may end in any thread, and in the middle of anything.
        self._lock = threading.RLock()
        self._process = os.getpid()

    def lease(self, place: Place) -> Lease:
        """Use what lies there.

        Raises:
            WireError: nothing does, or not any more.
        """
        block, end = place.block, place.offset + place.length
        if not (0 <= block < BLOCKS and _TABLE <= place.offset <= end <= len(self._map)):
            raise WireError(f"bytes {place.offset}..{end} of block {block} of an arena of {len(self._map)} bytes")
        with self._lock:
            self._count += 1
            number = self._count
            self._leases.setdefault(block, set()).add(number)
            self._map[block * USERS + self.user] = 1
        lease = Lease(self, number, place)
        # In this order: whoever gives the block out anew counts first, and looks for users then.
        if self._turns[block] != place.turn:
            raise WireError(f"block {block} of an arena was given to others meanwhile")
        return lease

    def leave(self, block: int, number: int) -> None:
        """A lease has ended."""
        if os.getpid() != self._process:
            return  # one that a forked child got with all else: its parent still uses the block
        with self._lock:
            numbers = self._leases[block]
            numbers.discard(number)
            if not numbers:
                del self._leases[block]
                self._map[block * USERS + self.user] = 0

    def __del__(self) -> None:
        os.close(self._file)

    @property
    def lives(self) -> bool:
        """Whether the process is there whose arena it is."""
        return _is_there(self.name)

    @property
    def leases(self) -> int:
        """How many there are in this process."""
        return sum(map(len, self._leases.values()))

    @staticmethod
    def attach(name: str) -> Arena:
        """Map the arena of another process.

        Raises:
            OSError: it cannot be had: its process is gone, another user's, or of another machine.
            WireError: it is no arena, or used by too many.
        """
        file = os.open(_path(name), os.O_RDWR | os.O_CLOEXEC)
        try:
            user = _admitted(name, file)
        except BaseException:  # nothing may stay open
            os.close(file)
            raise
        arena = Arena(name, file, user)
        arena._table[:, arena.user] = 0  # of one that had the number before, and died
        return arena


class OwnArena(Arena):
    """An arena with room for ``size`` bytes, out of which this process gives blocks."""

    def __init__(self, size: int) -> None:
        label = random_id(16)
        file = os.memfd_create(_NAME + label, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        size -= size % GRAIN
        try:
            os.ftruncate(file, _TABLE + size)
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
        except OSError:
            os.close(file)
            raise
        super().__init__(f"{os.getpid()}.{file}.{label}", file, 0)
        self._space = Space(size)
        self._free = list(range(BLOCKS - 1, -1, -1))
        self._out: dict[int, int] = {}
        """Where the blocks begin that were given out."""
        self._touched = 0
        """Bytes from the beginning on that may take memory."""

    @property
    def used(self) -> int:
        """Bytes of blocks that somebody uses, as far as was looked."""
        return self._space.taken

    def put(self, parts: Sequence[Buffer]) -> Lease | None:
        """A copy of these bytes in a block of its own, each part at an ``ALIGNMENT``; None where there is no room."""
        lease = self.reserve(sum(map(aligned, map(len, parts))))
        if lease is not None:
            at = lease.place.offset
            for part in parts:
                self._bytes[at : at + len(part)] = np.frombuffer(part, np.uint8)
                at += aligned(len(part))
        return lease

    def reserve(self, length: int) -> Lease | None:
        """A block of its own for so many bytes, which are written by ``room``; None where there is no room."""
        self.collect()
        begin = self._take(length)
        if begin is None:
            self._strike_out_the_dead()
            self.collect()
            begin = self._take(length)
        if begin is None:
            return None
        block = self._free.pop()
        self._out[block] = begin
        self._touched = max(self._touched, begin + length)
        return self.lease(Place(self.name, block, int(self._turns[block]), begin + _TABLE, length))

    def room(self, lease: Lease) -> memoryview:
        """The bytes of a block that was reserved, to be written before anybody else hears of them."""
        at, length = lease.place.offset, lease.place.length
        return self._bytes[at : at + length].data

    def collect(self) -> None:
        """Take back what nobody uses any more."""
        for block, begin in list(self._out.items()):
            row = slice(block * USERS, (block + 1) * USERS)
            if self._map[row] == _NOBODY:
                self._turns[block] += 1
                # Again: somebody may have come before it was counted, and stays.
                if self._map[row] == _NOBODY:
                    del self._out[block]
                    self._free.append(block)
                    self._space.give_back(begin)

    def tend(self) -> None:
        """Take back what nobody uses, and give the machine its memory when that is all; called now and then."""
        self._strike_out_the_dead()
        self.collect()
        if self._touched and not self._out:
            self._map.madvise(_MADV_REMOVE, _TABLE, self._touched + -self._touched % GRAIN)
            self._touched = 0

    def _take(self, length: int) -> int | None:
        return self._space.take(length) if self._free else None

    def _strike_out_the_dead(self) -> None:
        for user in np.flatnonzero(self._table[:, 1:].any(axis=0)) + 1:
            if _lock(self._file, int(user), fcntl.F_WRLCK):
                self._table[:, user] = 0
                _lock(self._file, int(user), fcntl.F_UNLCK)


def aligned(length: int) -> int:
    """The bytes that so many take where the next ones are to begin at an ``ALIGNMENT``."""
    return length + -length % ALIGNMENT


def _path(name: str) -> Path:
    pid, number, _ = _parse(name)
    return Path(f"/proc/{pid}/fd/{number}")


def _is_there(name: str) -> bool:
    """Whether it is an arena of that name which its process has open."""
    try:
        return str(_path(name).readlink()) == f"/memfd:{_NAME}{_parse(name)[2]} (deleted)"
    except OSError:
        return False


def _parse(name: str) -> tuple[int, int, str]:
    pid, _, rest = name.partition(".")
    number, _, label = rest.partition(".")
    if not (pid.isdecimal() and number.isdecimal() and label):
        raise WireError(f"{name!r} is no arena's name")
    return int(pid), int(number), label


def _admitted(name: str, file: int) -> int:
    """The number that a user of an arena has from now on."""
    if not _is_there(name) or os.fstat(file).st_size < _TABLE:
        raise WireError(f"{name} is no arena")
    if fcntl.fcntl(file, fcntl.F_GET_SEALS) & _SEALS != _SEALS:
        raise WireError(f"{name} could shrink while it is used")
    for user in range(1, USERS):
        if _lock(file, user, fcntl.F_WRLCK):
            return user
    raise WireError(f"{name} has {USERS - 1} users; there is no room for more")


def _lock(file: int, byte: int, kind: int) -> bool:
    """Whether a lock of that byte could be had, or given up."""
    try:
        fcntl.fcntl(file, _OFD_SETLK, _LOCK.pack(kind, os.SEEK_SET, byte, 1, 0))
    except BlockingIOError:
        return False
    return True

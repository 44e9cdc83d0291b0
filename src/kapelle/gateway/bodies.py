"""Large bodies, which are read from the socket to where they shall lie: no parser sees them, and nothing is joined."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from kapelle.transport.sharing import Arenas
from kapelle.wire.body import Buffer

LARGE = 64 << 10
"""Bytes that are still to come from which on it is worth it."""


class Room(NamedTuple):
    """Where a body shall lie: ``view`` is written to, and ``whole`` gives the body when it is."""

    view: memoryview
    whole: Callable[[], bytes | memoryview]


Reserve = Callable[[int, int], Room | None]
"""Gives room for so many bytes that begin at that distance from an even place, if there is any."""


def plain_room(length: int) -> Room:
    """Room for a body that becomes ``bytes``."""
    # Unlike a bytearray, it is not filled with zeros first.
    space = np.empty(length, np.uint8)
    return Room(space.data, space.tobytes)


def shared_room(arenas: Arenas, length: int, shift: int) -> Room | None:
    """Room in this process's arena, from where a body is passed on without a copy; None where there is not plenty.

    It begins ``shift`` bytes after an ``ALIGNMENT``, so that what follows a head of another length lies at one.
    """
    found = arenas.reserve(shift + length)
    if found is None:
        return None
    lease, view = found
    return Room(view[shift:], lambda: lease.bytes[shift:])


class Body:
    """A body that is being read to its ``room``; ``pieces`` are what has come of it already."""

    def __init__(self, room: Room, pieces: Iterable[Buffer]) -> None:
        self._room = room
        self.held = 0
        for piece in pieces:
            room.view[self.held : self.held + len(piece)] = piece
            self.held += len(piece)

    @property
    def rest(self) -> memoryview:
        """Where what is still to come shall be written."""
        return self._room.view[self.held :]

    def grew(self, count: int) -> bytes | memoryview | None:
        """So many bytes of it were written; the whole body, once it is that."""
        self.held += count
        return self._room.whole() if self.held == len(self._room.view) else None

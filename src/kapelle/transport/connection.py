"""The contract of all transports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from kapelle.wire.body import Buffer
from kapelle.wire.frames import Frame

BULK = 64 << 10
"""Bytes from which on a frame is *bulk*: it travels apart from the small ones, and holds none of them up."""


def is_bulk(head: bytes, segments: Sequence[Buffer]) -> bool:
    """Whether a frame counts as large. Segments are flat: their length is their size in bytes."""
    size = len(head)
    for segment in segments:
        size += len(segment)
    return size >= BULK


class Connection(Protocol):
    """One end of a two-way stream of frames.

    Frames of one size class arrive in order; a small frame may overtake a large one. What was sent before ``close`` is
    delivered; the end is reported by ``on_lost`` exactly once, on both sides, and nothing is delivered after it.
    """

    def start(self, on_frames: Callable[[list[Frame]], None], on_lost: Callable[[str], None]) -> None:
        """Begin to deliver: ``on_frames`` gets what arrived together, ``on_lost`` the reason of the end."""

    def send(
        self, head: bytes, segments: Sequence[Buffer] = (), *, bulk: bool | None = None, at_once: bool = False
    ) -> None:
        """Queue a frame. Never blocks; frames sent in one turn of the event loop leave together.

        ``at_once`` is for who has nothing else to send: the frame does not wait for the end of the turn.
        None lets its size decide how it travels; ``bulk=True`` keeps a small frame behind the large ones before it.
        What leaves are the segments as they are now: whose they are may write to them afterwards. After the end it does
        nothing.

        Raises:
            WireError: the frame is larger than any reader takes.
        """

    @property
    def backlog(self) -> int:
        """Bytes that were sent and have not left this process yet."""

    def close(self) -> None:
        """Send what is queued, then end. Nothing more is received."""

    def abort(self) -> None:
        """End at once."""


Accept = Callable[[Connection], None]
"""Called by a listener for every new connection, which the callee must ``start``."""

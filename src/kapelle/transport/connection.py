"""The contract of all transports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from kapelle.wire.frames import Buffer, Frame


class Connection(Protocol):
    """One end of a two-way stream of frames.

    Frames of one size class arrive in order; a small frame may overtake a large one. What was sent before ``close`` is
    delivered; a peer that is gone is reported by ``on_lost`` exactly once, on both ends.
    """

    def start(self, on_frames: Callable[[list[Frame]], None], on_lost: Callable[[str], None]) -> None:
        """Begin to deliver: ``on_frames`` gets what arrived together, ``on_lost`` the reason of the end."""

    def send(self, head: bytes, segments: Sequence[Buffer] = ()) -> None:
        """Queue a frame. Never blocks; frames sent in one turn of the event loop leave together."""

    @property
    def backlog(self) -> int:
        """Bytes that were sent and have not left this process yet."""

    def close(self) -> None:
        """Send what is queued, then end."""

    def abort(self) -> None:
        """End at once."""


Accept = Callable[[Connection], None]
"""Called by a listener for every new connection, which the callee must ``start``."""

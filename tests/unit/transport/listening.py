"""What a test hears of a lane."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from kapelle.transport.lane import Lane
from kapelle.wire.frames import Frame


@dataclass(kw_only=True)
class Listening:
    """Keeps what comes from a lane, and why it ended; ``changed`` is set at each."""

    frames: list[Frame] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def listen(self, lane: Lane) -> None:
        lane.start(self._on_frames, self._on_lost)

    async def ended(self) -> str:
        while not self.lost:
            self.changed.clear()
            await self.changed.wait()
        return self.lost[0]

    def _on_frames(self, frames: list[Frame]) -> None:
        self.frames += frames
        self.changed.set()

    def _on_lost(self, reason: str) -> None:
        self.lost.append(reason)
        self.changed.set()

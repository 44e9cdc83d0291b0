"""An app whose services hand large arrays to each other, and see to it that none ever changes."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

import kapelle

Picture = NDArray[np.float32]


@kapelle.service(replicas=2)
class Painter:
    @kapelle.method(idempotent=True)
    async def paint(self, x: int) -> Picture:
        return np.full(50_000 + x % 7, x, np.float32)


@kapelle.service(replicas=2)
class Critic:
    """Keeps the last pictures it saw, and looks at all of them again with every new one."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, Picture]] = deque(maxlen=8)

    @kapelle.method(idempotent=True)
    async def look(self, x: int, picture: Picture) -> Picture:
        self._seen.append((x, picture))
        assert not picture.flags.writeable
        for number, seen in self._seen:
            assert (seen == number).all(), f"a picture of {number} shows {set(seen.tolist())}"
        return picture


@kapelle.app
class Gallery:
    painter: Painter
    critic: Critic

    @kapelle.post("/double")
    async def double(self, x: int) -> int:
        picture = await self.painter.paint(x)
        again = await self.critic.look(x, picture)
        assert (picture == again).all()
        return int(picture[0] + again[-1])

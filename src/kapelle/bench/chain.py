"""A chain of services that do nothing but take a payload and give one: its cost is that of the way.

The app passes what one service answers to the next, as apps do. What a service gives it has made beforehand; it is not
what it got, because a service that changes nothing is rare, and because passing on an array costs nothing.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from kapelle.bench.payload import payload, received
from kapelle.declare.apps import app, get
from kapelle.declare.methods import method
from kapelle.declare.services import service
from kapelle.types.tensor import Tensor

Bytes = Annotated[NDArray[np.uint8], Tensor("n")]


class Stage:
    """One of the services. Its methods are coroutines: a thread to work in is for those who have work."""

    @method
    async def pass_on(self, data: Bytes) -> Bytes:
        """As many bytes as came."""
        received(data)
        return payload(len(data))

    @method
    async def finish(self, data: Bytes) -> int:
        """The small answer at the end."""
        return received(data)


class Chain:
    """What all chains have in common; ``declare`` makes one that is an app."""

    stages: int

    @get("/{size}")
    async def run(self, size: int) -> int:
        """Send so many bytes through all stages."""
        return await self.send(payload(size))

    async def send(self, data: Bytes) -> int:
        """Send these bytes through all stages."""
        *before, last = [getattr(self, f"stage{number}") for number in range(self.stages)]
        for stage in before:
            data = await stage.pass_on(data)
        answer: int = await last.finish(data)
        return answer


def declare(stages: int, module: str) -> type[Chain]:
    """An app of so many services, as if ``module`` had declared it."""
    fields: dict[str, Any] = {"__module__": module, "__doc__": "A chain of services without work.", "stages": stages}
    annotations = {
        f"stage{number}": service(type(f"Stage{number}", (Stage,), {"__module__": module})) for number in range(stages)
    }
    made: type[Chain] = type("MeasuredChain", (Chain,), {**fields, "__annotations__": annotations})
    return app(made)

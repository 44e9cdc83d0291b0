"""An app of models, each of a service with processes of its own."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

import kapelle

Rows = Annotated[NDArray[np.float32], kapelle.Tensor("n", "width")]


@kapelle.service(replicas=2)
class Doubler:
    @kapelle.batched(max_size=16)
    def double(self, x: Rows) -> Rows:
        """Twice as much."""
        return x * np.float32(2)


@kapelle.service
class Words:
    @kapelle.batched(max_size=16)
    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        """The lengths of texts, three times."""
        return np.array([[len(one)] * 3 for one in texts], np.float32)

    @kapelle.method
    def shout(self, texts: list[str]) -> list[str]:
        """The same, louder."""
        return [one.upper() for one in texts]


@kapelle.app
class Models:
    """Models and one endpoint."""

    doubler: Doubler
    words: Words

    @kapelle.post("/double")
    async def double(self, x: list[float]) -> list[float]:
        """Twice as much."""
        (found,) = await self.doubler.double.many([np.array(x, np.float32)])
        values: list[float] = found.tolist()
        return values

"""An app that weighs large arrays: what it answers shows every number of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import kapelle


@kapelle.service(replicas=2)
class Scale:
    @kapelle.method
    def weigh(self, x: NDArray[np.float32]) -> float:
        """The sum."""
        assert x.flags.aligned
        return float(x.sum())


@kapelle.app
class Scales:
    scale: Scale

    @kapelle.post("/weigh")
    async def weigh(self, body: memoryview) -> float:
        """The sum of a body of float32."""
        assert body.readonly
        return await self.scale.weigh(np.frombuffer(body, np.float32))

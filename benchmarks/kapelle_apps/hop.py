"""Arrays and small lists from the gateway to a replica and an answer back, timed where they are sent."""

from __future__ import annotations

from statistics import median
from time import perf_counter

import msgspec
import numpy as np
from numpy.typing import NDArray

import kapelle

LENGTH = 3 * 224 * 224
ARRAYS = 20
"""Arrays that take turns: together they are larger than a core's own cache, as those of real requests are."""


class Times(msgspec.Struct):
    """Medians in microseconds."""

    small: float
    array: float
    memcpy: float


@kapelle.service
class Reader:
    @kapelle.method
    async def ends(self, values: NDArray[np.float32]) -> float:
        return float(values[0] + values[-1])


@kapelle.app
class Hop:
    reader: Reader

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self.arrays = [random.random(LENGTH, np.float32) for _ in range(ARRAYS)]
        self.copies = [array.copy() for array in self.arrays]

    @kapelle.post("/ready")
    async def ready(self) -> float:
        return await self.reader.ends(np.ones(2, np.float32))

    @kapelle.post("/hop")
    async def hop(self, times: int) -> Times:
        small: list[float] = []
        large: list[float] = []
        memcpy: list[float] = []
        for number in range(times):
            array, copy = self.arrays[number % ARRAYS], self.copies[number % ARRAYS]
            small.append(await self._timed(array[:2]))
            large.append(await self._timed(array))
            began = perf_counter()
            np.copyto(copy, array)
            memcpy.append(perf_counter() - began)
        return Times(*(median(seconds) * 1e6 for seconds in (small, large, memcpy)))

    async def _timed(self, array: NDArray[np.float32]) -> float:
        began = perf_counter()
        found = await self.reader.ends(array)
        took = perf_counter() - began
        if found != float(array[0] + array[-1]):
            raise ValueError(f"expected {array[0] + array[-1]}, got {found}")
        return took

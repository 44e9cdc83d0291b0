"""A model that costs a fixed time a call and a little a row, in batches, under a deadline."""

from __future__ import annotations

import time

import msgspec

import kapelle

CALL_SECONDS = 5e-3
ROW_SECONDS = 0.1e-3
MAX_SIZE = 64
DEADLINE_SECONDS = 50e-3


class Answer(msgspec.Struct):
    double: int


@kapelle.service
class Model:
    @kapelle.batched(max_size=MAX_SIZE, max_wait="2ms")
    def double(self, numbers: list[int]) -> list[int]:
        # As with a model on an accelerator: this process waits, and the cores are free for others.
        time.sleep(CALL_SECONDS + ROW_SECONDS * len(numbers))
        return [2 * number for number in numbers]


@kapelle.app
class Batching:
    model: Model

    @kapelle.post("/double", timeout=f"{DEADLINE_SECONDS}s")
    async def double(self, number: int) -> Answer:
        return Answer(await self.model.double(number))

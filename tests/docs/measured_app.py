"""An app with a method and an endpoint of each kind, so that every metric has a value."""

from __future__ import annotations

from collections.abc import AsyncIterator

import kapelle


@kapelle.service
class Numbers:
    """Of numbers."""

    @kapelle.batched(max_size=4)
    def row(self, numbers: list[int]) -> list[int]:
        return numbers

    @kapelle.method(hedge="10s")
    def unary(self, number: int) -> int:
        return number

    @kapelle.method
    async def stream(self, number: int) -> AsyncIterator[int]:
        yield number


@kapelle.app
class Measured:
    """Calls each of them."""

    numbers: Numbers

    @kapelle.post("/row")
    async def row(self, number: int) -> int:
        return await self.numbers.row(number)

    @kapelle.post("/unary")
    async def unary(self, number: int) -> int:
        return await self.numbers.unary(number)

    @kapelle.post("/stream")
    async def stream(self, number: int) -> AsyncIterator[int]:
        async for item in self.numbers.stream(number):
            yield item

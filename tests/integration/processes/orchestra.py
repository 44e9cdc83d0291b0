"""An app whose services do everything that user code may do, and that it should not."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import sys
import threading
from typing import Any

import numpy as np

import kapelle

MEMORY_LIMIT = 300 << 20


def _rest_forever() -> None:
    threading.Event().wait()


@kapelle.service(replicas=2)
class Doubler:
    """Doubles numbers; the fault methods are never sent twice."""

    @kapelle.batched(max_size=16)
    def double(self, numbers: list[int]) -> list[int]:
        return [2 * number for number in numbers]

    @kapelle.method
    def slowly(self, number: int, seconds: float) -> int:
        threading.Event().wait(seconds)
        return 2 * number

    @kapelle.method(idempotent=False)
    def pid(self) -> int:
        return os.getpid()

    @kapelle.method(idempotent=False)
    def raising(self) -> int:
        raise ValueError("out of tune")

    @kapelle.batched(max_size=4, idempotent=False)
    def losing_rows(self, numbers: list[int]) -> list[int]:
        return numbers[1:]

    @kapelle.method(idempotent=False)
    def hanging(self) -> int:
        _rest_forever()
        return 0

    @kapelle.method(idempotent=False)
    async def hanging_async(self) -> int:
        await asyncio.Event().wait()
        return 0

    @kapelle.batched(max_size=4, idempotent=False)
    async def hanging_batch(self, numbers: list[int]) -> list[int]:
        await asyncio.Event().wait()
        return numbers

    @kapelle.batched(max_size=4, idempotent=False)
    async def stubborn_batch(self, numbers: list[int]) -> list[int]:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    @kapelle.method(idempotent=False)
    async def holding_the_loop(self) -> int:
        _rest_forever()
        return 0

    @kapelle.method(idempotent=False)
    def holding_the_gil(self) -> int:
        ctypes.PyDLL(None).sleep(3600)
        return 0

    @kapelle.method(idempotent=False)
    def leaving(self, how: str) -> int:
        match how:
            case "os._exit":
                os._exit(4)
            case "sys.exit":
                sys.exit(3)
            case _:
                raise SystemExit(5)

    @kapelle.method(idempotent=False)
    async def leaving_async(self) -> int:
        raise SystemExit(6)

    @kapelle.method(idempotent=False)
    def talking(self, lines: int) -> int:
        for number in range(lines):
            print(f"la {number}")  # noqa: T201 - user code that prints
        return lines


@kapelle.service(replicas=2, memory_limit=MEMORY_LIMIT)
class Glutton:
    """Keeps all it is given."""

    def __init__(self) -> None:
        self.eaten: list[Any] = []

    @kapelle.method
    def double(self, number: int) -> int:
        return 2 * number

    @kapelle.method(idempotent=False)
    def eat(self, size: int) -> int:
        self.eaten.append(np.ones(size, dtype=np.uint8))
        return os.getpid()

    @kapelle.method(idempotent=False)
    def feast(self) -> int:
        while len(self.eaten) < 50:
            self.eaten.append(np.ones(MEMORY_LIMIT // 10, dtype=np.uint8))
            threading.Event().wait(0.1)
        return 0


@kapelle.app
class Orchestra:
    doubler: Doubler

    @kapelle.post("/double")
    async def double(self, x: int) -> int:
        return await self.doubler.double(x)

    @kapelle.post("/slowly")
    async def slowly(self, x: int, seconds: float) -> int:
        return await self.doubler.slowly(x, seconds)

    @kapelle.post("/pid")
    async def pid(self) -> int:
        return await self.doubler.pid()

    @kapelle.post("/fault", timeout="1s")
    async def fault(self, name: str, how: str = "") -> int:
        method = getattr(self.doubler, name)
        arguments = {
            "leaving": (how,),
            "losing_rows": (1,),
            "hanging_batch": (1,),
            "stubborn_batch": (1,),
            "talking": (5000,),
        }.get(name, ())
        result: int = await method(*arguments)
        return result


@kapelle.app
class Feast:
    glutton: Glutton

    @kapelle.post("/double")
    async def double(self, x: int) -> int:
        return await self.glutton.double(x)

    @kapelle.post("/eat")
    async def eat(self, size: int) -> int:
        return await self.glutton.eat(size)

    @kapelle.post("/feast")
    async def feast(self) -> int:
        return await self.glutton.feast()

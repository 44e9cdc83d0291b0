"""The app that most tests of the protocol talk to."""

from __future__ import annotations

import asyncio

import kapelle


@kapelle.app
class Echo:
    """``/hold`` answers when the test lets it; what happens to it in the meantime is written down."""

    def __init__(self) -> None:
        self.held = 0
        self.let_go = asyncio.Event()
        self.entered = asyncio.Event()
        self.left = asyncio.Event()
        self.ended: list[str] = []

    @kapelle.get("/hello")
    async def hello(self) -> str:
        return "hello"

    @kapelle.get("/number/{number}")
    async def number(self, number: int) -> int:
        return number

    @kapelle.post("/echo")
    async def echo(self, data: bytes) -> bytes:
        return data

    @kapelle.get("/big/{size}")
    async def big(self, size: int) -> bytes:
        return b"x" * size

    @kapelle.get("/hold")
    async def hold(self) -> str:
        return await self._hold()

    @kapelle.post("/hold")
    async def hold_body(self, data: bytes) -> str:
        return await self._hold()

    async def _hold(self) -> str:
        self.held += 1
        self.entered.set()
        try:
            await self.let_go.wait()
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        else:
            self.ended.append("answered")
            return "let go"
        finally:
            self.held -= 1
            self.left.set()

"""An app with one of each thing that a client can ask for."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import numpy as np
from numpy.typing import NDArray

import kapelle


class Greeting(msgspec.Struct):
    text: str
    times: int = 1


class Token(msgspec.Struct):
    word: str
    index: int


@kapelle.service
class Encoder:
    @kapelle.batched(max_size=8)
    def embed(self, sentences: list[str]) -> NDArray[np.float32]:
        return np.array([[len(one), one.count("e"), 1] for one in sentences], np.float32)


@kapelle.service
class Scaler:
    @kapelle.method
    def scale(self, values: NDArray[np.float32], factor: float = 2.0) -> NDArray[np.float32]:
        return np.asarray(values * np.float32(factor), np.float32)

    @kapelle.method
    def name(self, words: list[str]) -> list[str]:
        return [one.upper() for one in words]

    @kapelle.method
    def reverse(self, data: bytes) -> bytes:
        return data[::-1]


@kapelle.service
class Writer:
    @kapelle.method
    async def write(self, prompt: str) -> AsyncIterator[Token]:
        for index, word in enumerate(prompt.split()):
            if word == "fail":
                raise RuntimeError("the model broke")
            yield Token(word, index)


@kapelle.app
class Gallery:
    encoder: Encoder
    scaler: Scaler
    writer: Writer

    def __init__(self) -> None:
        self.left = asyncio.Event()

    @kapelle.post("/greet")
    async def greet(self, greeting: Greeting) -> list[str]:
        return [greeting.text] * greeting.times

    @kapelle.get("/sum")
    async def sum(self, numbers: list[int], plus: bool = False) -> int:
        return sum(numbers) + plus

    @kapelle.post("/reverse")
    async def reverse(self, data: bytes) -> bytes:
        return data[::-1]

    @kapelle.get("/text")
    async def text(self) -> str:
        return "größe"

    @kapelle.post("/files")
    async def files(self, file: kapelle.Upload, more: list[kapelle.Upload], title: str, sizes: list[int]) -> list[str]:
        return [f"{one.filename}:{len(one.data)}" for one in [file, *more]] + [title, str(sum(sizes))]

    @kapelle.post("/write")
    async def write(self, prompt: str) -> AsyncIterator[Token]:
        async for token in self.writer.write(prompt):
            yield token

    @kapelle.post("/endless")
    async def endless(self) -> AsyncIterator[int]:
        try:
            yield 0
            await asyncio.sleep(3600)  # never passes: the client leaves, or its time is over
        finally:
            self.left.set()

    @kapelle.post("/hang")
    async def hang(self) -> int:
        try:
            await asyncio.sleep(3600)  # as above
        finally:
            self.left.set()
        return 0

"""What type checkers see in a service's methods: mypy and pyright read this file, and pytest runs it.

A line marked ``type: ignore`` is a mistake that both must find: an ignore that is not needed is an error itself.
"""
# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, assert_type

import msgspec
import numpy as np
from numpy.typing import NDArray

import kapelle

Array = np.ndarray[Any, Any]
Vectors = NDArray[np.float32]

vector: Vectors = np.array([3.0, 4.0], np.float32)


class Match(msgspec.Struct):
    question: str
    score: float


@kapelle.service
class Encoder:
    """Every kind of method, as its author declares it."""

    @kapelle.method
    def nearest(self, vector: Vectors, count: int = 1) -> list[Match]:
        return [Match("Why?", float(vector.sum()))] * count

    @kapelle.method(timeout="1s", hedge="50ms")
    def dimensions(self) -> int:
        return 4

    @kapelle.method
    async def describe(self, language: str, short: bool = False) -> str | None:
        return None if short else language

    @kapelle.method(idempotent=False)
    async def remember(self, text: str) -> None: ...

    @kapelle.method
    def scale(self, number: float, *, factor: float, shift: float = 0.0) -> float:
        return number * factor + shift

    @kapelle.method
    async def letters(self, text: str, *, limit: int = 10) -> AsyncIterator[str]:
        for letter in text[:limit]:
            yield letter

    @kapelle.method
    async def words(self, text: str, limit: int = 10) -> AsyncIterator[str]:
        for word in text.split()[:limit]:
            yield word

    @kapelle.method(timeout=5)
    async def numbers(self) -> AsyncIterator[int]:
        yield 1


@kapelle.service
class Batches:
    """Every form of a batched method: rows as a list or an array, results as a list or an array, sync or async."""

    @kapelle.batched(max_size=64, max_wait="2ms")
    def embed(self, sentences: list[str]) -> Vectors:
        return np.zeros((len(sentences), 4), np.float32)

    @kapelle.batched(max_size=8)
    async def embed_later(self, sentences: list[str]) -> Vectors:
        return np.zeros((len(sentences), 4), np.float32)

    @kapelle.batched()
    def lengths(self, sentences: list[str]) -> list[int]:
        return [len(sentence) for sentence in sentences]

    @kapelle.batched()
    async def matches(self, vectors: list[Vectors]) -> list[Match]:
        return [Match("Why?", 1.0) for _ in vectors]

    @kapelle.batched(max_wait=0.001)
    def normalise(self, vectors: Vectors) -> Vectors:
        return vectors

    @kapelle.batched()
    async def normalise_later(self, vectors: Vectors) -> Vectors:
        return vectors

    @kapelle.batched()
    def labels(self, vectors: Vectors) -> list[str]:
        return ["a" for _ in vectors]

    @kapelle.batched()
    async def labels_later(self, vectors: Vectors) -> list[str]:
        return ["a" for _ in vectors]

    @kapelle.batched()
    def roots(self, numbers: list[float]) -> list[float | Exception]:
        return [number**0.5 if number >= 0 else ValueError("negative") for number in numbers]

    @kapelle.batched()
    async def roots_later(self, numbers: list[float]) -> list[float | Exception]:
        return [number**0.5 if number >= 0 else ValueError("negative") for number in numbers]

    @kapelle.batched()
    def best(self, vectors: Vectors) -> list[Match | Exception]:
        return [Match("Why?", 1.0) for _ in vectors]

    @kapelle.batched()
    async def best_later(self, vectors: Vectors) -> list[Match | Exception | None]:
        return [None for _ in vectors]

    @kapelle.batched()
    def anything(self, numbers: list[float]) -> list[Any]:
        return [*numbers]


async def test_a_call_is_awaited_and_gives_what_the_method_returns() -> None:
    encoder = Encoder()
    assert_type(encoder, Encoder)
    assert_type(await encoder.nearest(vector), list[Match])
    assert_type(await encoder.dimensions(), int)
    assert_type(await encoder.describe("English"), str | None)
    assert_type(await encoder.remember("this"), None)


async def test_parameters_keep_their_names_and_defaults() -> None:
    encoder = Encoder()
    assert len(await encoder.nearest(vector)) == 1
    assert len(await encoder.nearest(vector, 2)) == 2
    assert len(await encoder.nearest(vector, count=3)) == 3
    assert len(await encoder.nearest(count=4, vector=vector)) == 4
    assert await encoder.describe("English", short=True) is None


async def test_keyword_only_parameters_stay_so() -> None:
    encoder = Encoder()
    assert_type(await encoder.scale(2.0, factor=3.0), float)
    assert await encoder.scale(number=2.0, shift=1.0, factor=3.0) == 7.0
    assert_type(encoder.letters("so far", limit=1), AsyncIterator[str])


async def test_a_stream_is_iterated() -> None:
    encoder = Encoder()
    assert_type(encoder.words("so far", limit=1), AsyncIterator[str])
    assert_type(encoder.numbers(), AsyncIterator[int])
    assert [assert_type(word, str) async for word in encoder.words("so far", limit=1)] == ["so"]


async def test_a_batched_method_is_called_with_one_row() -> None:
    batches = Batches()
    assert_type(await batches.embed("abc"), Array)
    assert_type(await batches.embed_later("abc"), Array)
    assert_type(await batches.lengths("abc"), int)
    assert_type(await batches.matches(vector), Match)
    assert_type(await batches.normalise(vector), Array)
    assert_type(await batches.normalise_later(vector), Array)
    assert_type(await batches.labels(vector), str)
    assert_type(await batches.labels_later(vector), str)


async def test_exceptions_in_the_places_of_rows_are_raised_not_returned() -> None:
    batches = Batches()
    assert_type(await batches.roots(4.0), float)
    assert_type(await batches.roots_later(4.0), float)
    assert_type(await batches.best(vector), Match)
    assert_type(await batches.best_later(vector), Match | None)
    assert_type(await batches.roots.many([4.0, 9.0]), list[float])
    assert_type(await batches.best_later.many([vector]), list[Match | None])
    assert_type(await batches.anything(4.0), Any)


async def test_many_rows_give_what_the_method_returns() -> None:
    batches = Batches()
    assert_type(await batches.embed.many(["a", "b"]), Array)
    assert_type(await batches.embed_later.many(["a", "b"]), Array)
    assert_type(await batches.lengths.many(["a", "b"]), list[int])
    assert_type(await batches.matches.many([vector]), list[Match])
    assert_type(await batches.normalise.many([vector]), Array)
    assert_type(await batches.normalise_later.many([vector]), Array)
    assert_type(await batches.labels.many([vector]), list[str])
    assert_type(await batches.labels_later.many([vector]), list[str])


async def mistakes_in_calls(encoder: Encoder, batches: Batches) -> None:
    """Never run: each line is refused."""
    await encoder.nearest()  # type: ignore[call-arg]  # the vector is missing
    await encoder.nearest("text")  # type: ignore[arg-type]  # not a vector
    await encoder.nearest(vector, "two")  # type: ignore[arg-type]  # not a number
    await encoder.nearest(vector, cout=2)  # type: ignore[call-arg]  # no such parameter
    await encoder.nearest(vector, 1, 2)  # type: ignore[call-arg]  # too many
    await encoder.scale(2.0, 3.0)  # type: ignore[call-arg]  # by name only
    await encoder.scale(2.0)  # type: ignore[call-arg]  # the factor is missing
    await encoder.scale(2.0, factor="3")  # type: ignore[arg-type]  # a number
    encoder.letters("a", 3)  # type: ignore[call-arg]  # by name only
    (await batches.roots(2.0)).with_traceback(None)  # type: ignore[attr-defined]  # failures are raised
    (await encoder.dimensions()).upper()  # type: ignore[attr-defined]  # an int has no such method
    encoder.dimensions() + 1  # type: ignore[operator]  # not awaited
    await encoder.words("a")  # type: ignore[misc]  # a stream is iterated, not awaited
    encoder.words(1)  # type: ignore[arg-type]  # not a text
    encoder.no_such_method()  # type: ignore[attr-defined]  # misspelt
    await batches.embed(1)  # type: ignore[arg-type]  # not a sentence
    await batches.embed(["a"])  # type: ignore[arg-type]  # one row, not a list of rows
    await batches.embed.many("ab")  # type: ignore[arg-type]  # a list of rows, not one
    await batches.embed.many([1])  # type: ignore[list-item]  # not sentences
    await batches.labels("a")  # type: ignore[arg-type]  # not a vector
    (await batches.labels(vector)).sum()  # type: ignore[attr-defined]  # a label is a text


def mistakes_in_declarations() -> None:
    """Never run: each declaration is refused."""
    kapelle.method(timeuot="1s")  # type: ignore[call-overload]  # misspelt
    kapelle.method(timeout=[1])  # type: ignore[call-overload]  # a duration

    class Wrong:
        @kapelle.batched()  # type: ignore[arg-type]  # rows are a list or an array
        def one_row(self, row: str) -> list[int]:
            return [len(row)]

        @kapelle.batched()  # type: ignore[arg-type]  # one result per row
        def one_result(self, rows: list[str]) -> int:
            return len(rows)

        @kapelle.batched()  # type: ignore[arg-type]  # the rows are the only parameter
        def more(self, rows: list[str], more: int) -> list[int]:
            return [more for _ in rows]

        @kapelle.batched(max_size="many")  # type: ignore[arg-type]  # a number
        def size(self, rows: list[str]) -> list[int]:
            return []

"""Methods on plain instances run as they stand; declarations that could not be served are refused."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from kapelle.declare.methods import (
    BaseMethod,
    Batched,
    BatchedCall,
    BatchPolicy,
    CallPolicy,
    Method,
    StreamMethod,
    batched,
    method,
)
from kapelle.errors import ContractError, DeclarationError, RowErrors
from kapelle.types.aliases import expanded


class Encoder:
    """What a user writes: no decorator on the class is needed to use its methods in a unit test."""

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor
        self.batches: list[int] = []

    @method
    def size(self, text: str, unit: int = 1) -> int:
        """How long a text is."""
        return len(text) * unit

    @method(timeout="500ms", idempotent=False)
    async def later(self, text: str) -> str:
        await asyncio.sleep(0)
        return text.upper()

    @method(hedge=0.25)
    def hedged(self) -> None: ...

    @method
    async def words(self, text: str) -> AsyncIterator[str]:
        for word in text.split():
            yield word

    @batched(max_size=4, max_wait="5ms", max_bytes=1000)
    def embed(self, sentences: list[str]) -> NDArray[np.float32]:
        self.batches.append(len(sentences))
        return np.array([[len(sentence) * self.factor] for sentence in sentences], np.float32)

    @method
    def clipped(self, text: str, *, start: int = 0, end: int) -> str:
        return text[start:end]

    @method
    async def later_clipped(self, text: str, *, end: int) -> str:
        return text[:end]

    @method
    async def clipped_words(self, text: str, *, end: int) -> AsyncIterator[str]:
        for word in text.split():
            yield word[:end]

    @batched()
    def roots(self, numbers: list[float]) -> list[float | Exception | None]:
        return [number**0.5 if number >= 0 else ValueError(f"{number:g} is negative") for number in numbers]

    @batched()
    async def later_roots(self, numbers: NDArray[np.float64]) -> list[float | Exception | None]:
        return [None if number < 0 else float(number**0.5) for number in numbers]

    @batched()
    async def reverse(self, texts: list[str]) -> list[str]:
        await asyncio.sleep(0)
        return [text[::-1] for text in texts]

    @batched()
    def norms(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        assert isinstance(vectors, np.ndarray)
        return np.asarray(np.linalg.norm(vectors, axis=1))

    @batched()
    def checked(self, numbers: list[int]) -> list[int]:
        bad = {index: ValueError(f"{number} is odd") for index, number in enumerate(numbers) if number % 2}
        if bad:
            raise RowErrors({**bad})
        return numbers

    @batched()
    def in_place(self, numbers: list[int]) -> list[Any]:
        return [ValueError(f"{number} is odd") if number % 2 else number for number in numbers]

    @batched()
    def declared_in_place(self, numbers: list[int]) -> list[int | Exception]:
        return [ValueError(f"{number} is odd") if number % 2 else number for number in numbers]

    @batched()
    def short(self, numbers: list[int]) -> list[int]:
        return numbers[1:]

    @batched()
    def none(self, numbers: list[int]) -> list[int]:
        return None  # type: ignore[return-value]  # a mistake that must be noticed

    @batched()
    def takes_apart(self, numbers: list[int]) -> list[int]:
        return [10 * numbers.pop(0) for _ in range(len(numbers))]

    @batched()
    def blames_nobody(self, numbers: list[int]) -> list[int]:
        raise RowErrors({})


async def test_methods_of_a_plain_instance_are_awaited() -> None:
    encoder = Encoder()
    assert await encoder.size("four") == 4
    assert await encoder.size("four", unit=2) == 8
    assert await encoder.size(text="four") == 4
    assert await encoder.later("a") == "A"
    assert [word async for word in encoder.words("so far so good")] == ["so", "far", "so", "good"]


async def test_a_batched_method_takes_one_row_or_many() -> None:
    encoder = Encoder(factor=2.0)
    one = await encoder.embed("abc")
    assert one.tolist() == [6.0]
    assert (await encoder.embed.many(["a", "bc"])).tolist() == [[2.0], [4.0]]
    assert encoder.batches == [1, 2]
    assert await encoder.reverse("abc") == "cba"
    assert await encoder.reverse.many(["ab", "cd"]) == ["ba", "dc"]
    numbers = [1, 2]
    assert await encoder.takes_apart.many(numbers) == [10, 20]
    assert numbers == [1, 2]
    assert await encoder.norms(np.array([3.0, 4.0])) == 5.0
    assert (await encoder.norms.many([np.array([3.0, 4.0]), np.array([0.0, 1.0])])).tolist() == [5.0, 1.0]


async def test_keyword_only_arguments_of_a_plain_instance() -> None:
    encoder = Encoder()
    assert await encoder.clipped("abc", end=2) == "ab"
    assert await encoder.later_clipped(text="abc", end=1) == "a"
    assert [word async for word in encoder.clipped_words("one two", end=2)] == ["on", "tw"]
    with pytest.raises(TypeError, match="positional"):
        await encoder.clipped("abc", 0, 2)  # type: ignore[call-arg]  # this is what is tested


async def test_no_rows_give_no_results_and_do_not_run_the_method() -> None:
    encoder = Encoder()
    assert await encoder.reverse.many([]) == []
    nothing = await encoder.embed.many([])
    assert (len(nothing), nothing.dtype) == (0, np.float32)
    assert encoder.batches == []


@pytest.mark.parametrize("name", ["checked", "in_place", "declared_in_place"])
async def test_a_bad_row_raises_for_its_caller(name: str) -> None:
    call: BatchedCall[int, int, list[int]] = getattr(Encoder(), name)
    assert await call(4) == 4
    assert await call.many([4, 2]) == [4, 2]
    with pytest.raises(ValueError, match="3 is odd"):
        await call(3)
    with pytest.raises(ValueError, match="5 is odd"):
        await call.many([2, 5, 7])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("short", "short returned 1 rows for a batch of 2"),
        ("none", "none returned NoneType rows for a batch of 2"),
        ("blames_nobody", "blames_nobody raised RowErrors for no row"),
    ],
)
async def test_a_method_that_breaks_its_contract_is_noticed(name: str, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        await getattr(Encoder(), name).many([1, 2])


async def test_a_call_that_belongs_to_no_instance_cannot_run() -> None:
    with pytest.raises(ContractError, match="an unbound batched method was called"):
        await BatchedCall[int, int, list[int]]()(1)


def test_on_the_class_they_are_declarations() -> None:
    assert isinstance(Encoder.size, Method)
    assert isinstance(Encoder.words, StreamMethod)
    assert isinstance(Encoder.embed, Batched)
    assert Encoder.size.__doc__ == "How long a text is."
    assert Encoder.size.__name__ == "size"


def test_a_method_as_data() -> None:
    spec = Encoder.size.spec()
    assert (spec.name, spec.kind, spec.is_async, spec.batch) == ("size", "unary", False, None)
    assert spec.policy == CallPolicy(timeout=None, idempotent=True, hedge=None)
    assert spec.signature.names == ("text", "unit")
    assert spec.function(Encoder(), "four") == 4
    assert Encoder.size.spec() is spec, "it is read once"


def test_keyword_only_arguments_travel_in_their_order() -> None:
    spec = Encoder.clipped.spec()
    assert spec.signature.names == ("text", "start", "end")
    assert spec.function(Encoder(), "abcdef", 1, 3) == spec.function(Encoder(), "abcdef", end=3, start=1) == "bc"
    assert Encoder.later_clipped.spec().is_async
    assert Encoder.clipped_words.spec().kind == "stream"


@pytest.mark.parametrize("declared", [Encoder.roots, Encoder.later_roots])
def test_exceptions_in_the_places_of_rows_are_no_part_of_the_result(declared: BaseMethod) -> None:
    assert declared.spec().signature.returns == list[float | None]


def test_policies_are_in_seconds() -> None:
    assert Encoder.later.spec().policy == CallPolicy(timeout=0.5, idempotent=False)
    assert Encoder.hedged.spec().policy == CallPolicy(hedge=0.25)
    assert Encoder.embed.spec().batch == BatchPolicy(4, 0.005, 1000)
    assert Encoder.reverse.spec().batch == BatchPolicy(32, 0.002, 64 << 20)


@pytest.mark.parametrize(
    ("declared", "kind", "is_async"),
    [
        (Encoder.size, "unary", False),
        (Encoder.later, "unary", True),
        (Encoder.words, "stream", True),
        (Encoder.embed, "batched", False),
        (Encoder.reverse, "batched", True),
    ],
)
def test_kinds_of_methods(declared: BaseMethod, kind: str, is_async: bool) -> None:
    assert (declared.spec().kind, declared.spec().is_async) == (kind, is_async)


def test_the_type_of_a_row() -> None:
    assert Encoder.embed.spec().row is str
    assert Encoder.norms.spec().row == expanded(NDArray[np.float64])


class Wrong:
    @method
    def generator(self) -> Iterator[int]:
        yield 1

    @batched()  # type: ignore[arg-type]  # refused by type checkers too
    async def batched_generator(self, rows: list[int]) -> AsyncIterator[int]:
        yield 1

    @method
    def returns_a_stream(self) -> AsyncIterator[int]:
        return Encoder().words("")  # type: ignore[return-value]  # never run

    @batched()  # type: ignore[arg-type]  # refused by type checkers too
    def rows_by_name(self, *, rows: list[str]) -> list[str]:
        return rows

    @batched()
    def other_failures(self, rows: list[str]) -> list[str | ValueError]:
        return [*rows]

    @batched()
    def failures_only(self, rows: list[str]) -> list[Exception]:
        return []

    @method
    def strange_result(self) -> complex: ...  # type: ignore[empty-body]  # never run

    @method
    async def strange_items(self) -> AsyncIterator[complex]:
        yield 1j

    @method
    def encoded(self, text: str, event: dict[str, msgspec.Raw]) -> None: ...

    @method
    async def encoded_items(self) -> AsyncIterator[msgspec.Raw]:
        yield msgspec.Raw()

    @method
    def unannotated(self, text) -> None: ...  # type: ignore[no-untyped-def]  # this is what is tested

    @batched()  # type: ignore[arg-type]  # refused by type checkers too
    def two(self, rows: list[int], more: int) -> list[int]:
        return []

    @batched()  # type: ignore[arg-type]  # refused by type checkers too
    def no_rows(self) -> list[int]:
        return []

    @batched()  # type: ignore[arg-type]  # refused by type checkers too
    def one_row(self, row: int) -> list[int]:
        return []


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (Wrong.generator, "Wrong.generator is a plain generator; expected `async def` with `yield`"),
        (Wrong.batched_generator, "Wrong.batched_generator is a generator; a batched method returns"),
        (Wrong.returns_a_stream, r"Wrong.returns_a_stream returns .*AsyncIterator\[int\] but is no async generator"),
        (Wrong.rows_by_name, r"Wrong.rows_by_name: 'rows' is keyword-only; rows come by position, so declare no `\*`"),
        (Wrong.other_failures, r"Wrong.other_failures returns list\[str \| ValueError\]; .* or list\[R\], and raise RowErr"),
        (Wrong.failures_only, r"Wrong.failures_only returns list\[Exception\]; .* expected list\[R \| Exception\]"),
        (Wrong.strange_result, "Wrong.strange_result: its result: values of type <class 'complex'> cannot travel"),
        (Wrong.strange_items, "Wrong.strange_items: its result: values of type <class 'complex'> cannot travel"),
        (Wrong.encoded, "Wrong.encoded: parameter 'event' holds msgspec.Raw, which is in one encoding"),
        (Wrong.encoded_items, "Wrong.encoded_items: its result holds msgspec.Raw"),
        (Wrong.unannotated, "Wrong.unannotated: parameter 'text' has no annotation"),
        (Wrong.two, r"Wrong.two has parameters \(rows, more\); a batched method takes exactly one, the rows"),
        (Wrong.no_rows, r"Wrong.no_rows has parameters \(\); a batched method takes exactly one, the rows"),
        (Wrong.one_row, r"Wrong.one_row: row is <class 'int'>; a batched method takes list\[T\] or an array of rows"),
    ],
)  # fmt: skip
def test_methods_that_cannot_be_served(declared: BaseMethod, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        declared.spec()


@pytest.mark.parametrize(
    ("decorate", "message"),
    [
        (
            lambda: method(hedge="1s", idempotent=False),
            "hedge sends a call twice, so it needs idempotent=True",
        ),
        (lambda: batched(max_size=0), "max_size=0, max_bytes=67108864: expected at least 1"),
        (lambda: batched(max_bytes=-1), "max_size=32, max_bytes=-1: expected at least 1"),
        (lambda: method(timeout="soon"), "timeout='soon': 'soon' is not a duration"),
        (lambda: batched(max_wait=-1), "max_wait=-1: a duration cannot be -1"),
    ],
)
def test_options_that_make_no_sense(decorate: Callable[[], object], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        decorate()


class Query(msgspec.Struct):
    text: str


class Typed:
    @method
    def search(self, query: Query) -> list[Query]:
        return [query]


async def test_users_own_types() -> None:
    assert await Typed().search(Query("a")) == [Query("a")]
    assert Typed.search.spec().signature.returns == list[Query]


def test_a_bound_method_can_be_inspected() -> None:
    assert inspect.isasyncgenfunction(Encoder.words.function)
    assert list(inspect.signature(Encoder.size.function).parameters) == ["self", "text", "unit"]

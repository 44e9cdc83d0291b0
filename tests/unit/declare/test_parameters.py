"""Signatures become data when a class is declared, and what could not be called is refused there and then."""

import inspect
import sys
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from typing_extensions import TypeAliasType

from kapelle.declare.parameters import (
    Parameter,
    Query,
    Upload,
    by_position,
    record_type,
    refuse_positional_only,
    signature_of,
)
from kapelle.errors import DeclarationError
from kapelle.types.aliases import expanded
from kapelle.types.arrays import is_array_type
from kapelle.types.tensor import Tensor

Positive = Annotated[int, msgspec.Meta(ge=1)]


class Methods:
    def plain(self, text: str, vector: NDArray[np.float32], count: int = 3) -> list[str]:
        return [text] * count

    def nothing(self): ...  # type: ignore[no-untyped-def]  # this is what is tested
    def from_query(self, body: str, limit: Query[Positive] = 10, names: Query[list[str] | None] = None) -> None: ...
    async def stream(self) -> AsyncIterator[bytes]:
        yield b""

    def constrained(self, count: Positive) -> None: ...
    def by_name(self, text: str, *, count: int = 3) -> None: ...
    def by_position(self, text: str, /) -> None: ...
    def scaled(self, value: int, shift: int = 0, *, low: int, high: int = 10) -> tuple[int, int, int, int]:
        return value, shift, low, high

    def late(self, one: "Later") -> None: ...
    def unknown(self, one: "NoSuchType") -> None: ...  # type: ignore[name-defined]  # noqa: F821 - this is what is tested
    def wrong(self, one: "np.no_such_type") -> None: ...  # type: ignore[name-defined]  # this is what is tested
    def unannotated(self, text) -> None: ...  # type: ignore[no-untyped-def]  # this is what is tested
    def many(self, *texts: str) -> None: ...
    def anything(self, **options: int) -> None: ...
    def strange(self, text: str, thing: complex) -> None: ...


class Later(msgspec.Struct):
    x: int


def test_parameters_have_names_types_and_defaults() -> None:
    signature = signature_of(Methods.plain)
    assert signature.names == ("text", "vector", "count")
    assert signature.parameters == (
        Parameter("text", str),
        Parameter("vector", expanded(NDArray[np.float32])),
        Parameter("count", int, 3),
    )
    assert [parameter.required for parameter in signature.parameters] == [True, True, False]
    assert signature.returns == list[str]


def test_the_types_of_all_arguments_and_of_one_item() -> None:
    assert signature_of(Methods.constrained).arguments == tuple[Positive]
    assert signature_of(Methods.scaled).arguments == tuple[int, int, int, int]
    assert signature_of(Methods.nothing).arguments == tuple[()]
    assert signature_of(Methods.stream).item is bytes
    assert signature_of(Methods.nothing).item is Any


def test_what_is_not_said_may_be_anything() -> None:
    signature = signature_of(Methods.nothing)
    assert (signature.parameters, signature.returns) == ((), Any)


def test_aliases_are_what_they_name() -> None:
    vector: Any = TypeAliasType("vector", Annotated[NDArray[np.float32], Tensor("n", 3)])

    class Model:
        def method(self, rows: list[vector], one: vector) -> vector: ...

    found = signature_of(Model.method)
    assert [is_array_type(one.annotation) for one in found.parameters] == [False, True]
    assert is_array_type(found.returns)
    assert repr(found.parameters[1].tensor) == repr(found.tensor) == "Tensor('n', 3)"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the statement `type` came with Python 3.12")
def test_a_type_that_names_itself_is_refused() -> None:
    names: dict[str, Any] = {}
    exec("type Tree = dict[str, Tree]", names)  # older versions could not read this file
    tree: Any = names["Tree"]

    class Model:
        def method(self, tree: tree) -> None: ...

    with pytest.raises(DeclarationError, match=r"parameter 'tree': a type that names itself cannot be read"):
        signature_of(Model.method)


def test_query_parameters_keep_all_but_the_marker() -> None:
    body, limit, names = signature_of(Methods.from_query).parameters
    assert body == Parameter("body", str)
    assert limit == Parameter("limit", Positive, 10, from_query=True)
    assert names == Parameter("names", list[str] | None, None, from_query=True)
    assert signature_of(Methods.constrained).parameters == (Parameter("count", Positive),)


def test_types_may_be_declared_later_in_the_module() -> None:
    assert signature_of(Methods.late).parameters == (Parameter("one", Later),)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (Methods.unknown, "Methods.unknown: name 'NoSuchType' is not defined; annotations are read when the class is"),
        (Methods.wrong, r"Methods.wrong: module 'numpy' has no attribute 'no_such_type'; annotations are read"),
        (Methods.unannotated, "Methods.unannotated: parameter 'text' has no annotation; input is checked against it"),
        (Methods.many, r"Methods.many has \*texts: str; expected parameters with names, which can travel"),
        (Methods.anything, r"Methods.anything has \*\*options: int; expected parameters with names"),
        (Methods.strange, "Methods.strange: parameter 'thing': values of type <class 'complex'> cannot travel"),
        (lambda: None, "must be a method of a class, with self as its first parameter"),
    ],
)  # fmt: skip
def test_signatures_that_cannot_be_served(function: Callable[..., Any], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        signature_of(function)


def test_parameters_that_have_no_name_to_callers_are_refused() -> None:
    refuse_positional_only(Methods.plain)
    refuse_positional_only(Methods.by_name)
    with pytest.raises(DeclarationError, match=r"Methods\.by_position: parameter 'text' is positional-only; arguments"):
        refuse_positional_only(Methods.by_position)


def test_keyword_only_parameters_are_known_as_such_and_may_be_given_in_their_order() -> None:
    signature = signature_of(Methods.scaled)
    assert [one.keyword_only for one in signature.parameters] == [False, False, True, True]
    ordered = by_position(Methods.scaled, signature)
    assert ordered(Methods(), 1, 2, 3, 4) == (1, 2, 3, 4)
    assert ordered(Methods(), 1, 2, 3) == (1, 2, 3, 10)
    assert ordered(Methods(), 1, high=4, low=3) == (1, 0, 3, 4)
    with pytest.raises(TypeError, match="multiple values for keyword argument 'low'"):
        ordered(Methods(), 1, 2, 3, low=3)
    assert inspect.signature(ordered) == inspect.signature(Methods.scaled)
    assert by_position(Methods.plain, signature_of(Methods.plain)) is Methods.plain


class Options(msgspec.Struct):
    depth: int = 1


class Defaults:
    def method(
        self,
        text: str,
        count: int = 3,
        words: list[str] = ["a"],  # noqa: B006 - this is what is tested
        options: Options = Options(),  # noqa: B008 - as above
        *,
        last: bool,
    ) -> None: ...


def test_arguments_are_decoded_into_a_record_in_their_order() -> None:
    record = record_type("plain", signature_of(Methods.plain).parameters[::2], array_like=True)
    assert msgspec.structs.astuple(msgspec.json.decode(b'["a"]', type=record)) == ("a", 3)
    assert msgspec.structs.astuple(msgspec.json.decode(b'["a", 5]', type=record)) == ("a", 5)
    with pytest.raises(msgspec.ValidationError, match=r"Expected `str`, got `int` - at `\$\[0\]`"):
        msgspec.json.decode(b"[1]", type=record)


def test_required_parameters_may_follow_defaults_and_unknown_ones_are_refused() -> None:
    record = record_type("method", signature_of(Defaults.method).parameters, forbid_unknown_fields=True)
    found = msgspec.structs.asdict(msgspec.json.decode(b'{"text": "a", "last": true}', type=record))
    assert found == {"text": "a", "count": 3, "words": ["a"], "options": Options(), "last": True}
    with pytest.raises(msgspec.ValidationError, match="missing required field `last`"):
        msgspec.json.decode(b'{"text": "a"}', type=record)
    with pytest.raises(msgspec.ValidationError, match="unknown field `more`"):
        msgspec.json.decode(b'{"text": "a", "last": true, "more": 1}', type=record)


def test_a_default_that_can_change_is_fresh_for_every_call() -> None:
    record = record_type("method", signature_of(Defaults.method).parameters)

    def call() -> Any:
        return msgspec.json.decode(b'{"text": "a", "last": true}', type=record)

    first = call()
    first.words.append("b")
    first.options.depth = 9
    assert call().words == ["a"]
    assert call().options == Options(1)


def test_an_upload_is_a_file() -> None:
    upload = Upload("a.txt", "text/plain", b"abc")
    assert (upload.filename, upload.content_type, upload.data) == ("a.txt", "text/plain", b"abc")

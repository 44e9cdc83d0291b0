"""Types that msgspec does not know become plain data and come back, or are refused with what was expected."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import pydantic
import pytest
from numpy.typing import NDArray

from kapelle.types.aliases import expanded
from kapelle.types.hooks import from_plain, from_text, holds_raw, is_pydantic, to_plain, unsupported


class Person(pydantic.BaseModel):
    name: str
    born: dt.date | None = None
    friends: list[Person] = []


class Strict(pydantic.BaseModel, extra="forbid"):
    count: int = pydantic.Field(ge=1)

    @pydantic.model_validator(mode="after")
    def is_not_thirteen(self) -> Strict:
        if self.count == 13:
            raise ValueError("thirteen is bad luck")
        return self


def to_json(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=to_plain).decode()


def from_json(text: str, annotation: Any) -> Any:
    return msgspec.json.decode(text, type=annotation, dec_hook=from_plain)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.array([[1, 2], [3, 4]]), "[[1,2],[3,4]]"),
        (np.array([], np.float32), "[]"),
        (np.array(1.5), "1.5"),
        (np.array([True]), "[true]"),
        ([np.float32(0.5), np.int8(-3), np.bool_(False)], "[0.5,-3,false]"),
        ([np.datetime64("2020-01-02"), np.timedelta64(3, "s")], '["2020-01-02","PT3S"]'),
        ({"v": np.zeros(2, np.uint8)}, '{"v":[0,0]}'),
        (Person(name="Ada", born=dt.date(1815, 12, 10)), '{"name":"Ada","born":"1815-12-10","friends":[]}'),
        ([Person(name="Ada", friends=[Person(name="Bo")])],
         '[{"name":"Ada","born":null,"friends":[{"name":"Bo","born":null,"friends":[]}]}]'),
    ],
)  # fmt: skip
def test_values_become_json(value: Any, text: str) -> None:
    assert to_json(value) == text


def test_a_type_that_nobody_knows_is_named() -> None:
    with pytest.raises(NotImplementedError, match="values of type object cannot travel"):
        to_json(object())
    with pytest.raises(NotImplementedError, match="parameters of type <class 'object'> are not supported"):
        from_json("1", object)


@pytest.mark.parametrize(
    ("text", "annotation", "expected"),
    [
        ('{"name":"Ada","born":"1815-12-10"}', Person, Person(name="Ada", born=dt.date(1815, 12, 10))),
        ('{"a":[{"count":3}]}', dict[str, list[Strict]], {"a": [Strict(count=3)]}),
        ("1.5", np.float64, np.float64(1.5)),
        ("[3,255]", list[np.uint8], [np.uint8(3), np.uint8(255)]),
        ("true", np.bool_, np.bool_(True)),
        ("3", np.float32, np.float32(3)),
        ("-128", np.int8, np.int8(-128)),
        ("18446744073709551615", np.uint64, np.uint64(2**64 - 1)),
        ("null", np.int8 | None, None),
    ],
)
def test_values_come_from_json(text: str, annotation: Any, expected: Any) -> None:
    found = from_json(text, annotation)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "annotation", "message"),
    [
        ('{"name":3}', Person, r"Input should be a valid string - at `\$.name`$"),
        ("3", Person, "Input should be a valid dictionary or instance of Person - at `\\$`$"),
        ('{"count":0}', Strict, r"Input should be greater than or equal to 1 - at `\$.count`$"),
        ('{"count":1,"more":2}', Strict, r"Extra inputs are not permitted - at `\$.more`$"),
        ('{"count":13}', Strict, r"Value error, thirteen is bad luck - at `\$`$"),
        ('{"name":"A","friends":[{"name":"B"},{"name":"C","friends":[{}]}]}', Person,
         r"Field required - at `\$.friends\[1\].friends\[0\].name`$"),
        ('[{"name":"A"},{"name":1}]', list[Person], r"Input should be a valid string - at `\$.name` - at `\$\[1\]`$"),
        ("[1,[2]]", np.ndarray, "expected a rectangular array"),
        ('{"v":["a"]}', dict[str, NDArray[np.float32]], r"expected numbers only - at `\$\[...\]`$"),
        ("[1.5]", NDArray[np.int32], "expected values of int32, got float64"),
        ("1.5", np.int32, "expected a whole number from -2147483648 to 2147483647, got float"),
        ("256", np.uint8, "expected a whole number from 0 to 255, got 256"),
        ("36893488147419103232", np.int64, r"expected a whole number from -9223372036854775808 to \d+, got 3689"),
        ('{"a":[300]}', dict[str, list[np.int8]], r"expected .* from -128 to 127, got 300 - at `\$\[...\]\[0\]`$"),
        ("true", np.int8, "expected a whole number from -128 to 127, got bool"),
        ("1", np.bool_, "expected true or false, got int"),
        ("1e39", np.float32, "expected a number that float32 can hold, got 1e\\+39"),
        ("70000", np.float16, "expected a number that float16 can hold, got 70000"),
        ("true", np.float32, "expected a number that float32 can hold, got bool"),
        ("[1]", np.int16, "expected a whole number from -32768 to 32767, got list"),
        ('"1"', np.int16, "expected a whole number from -32768 to 32767, got str"),
        ("null", np.float64, "expected a number that float64 can hold, got NoneType"),
    ],
)  # fmt: skip
def test_values_of_the_wrong_form_are_refused_with_their_place(text: str, annotation: Any, message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        from_json(text, annotation)


@pytest.mark.parametrize(
    ("text", "annotation", "expected"),
    [
        ("3", np.int8, np.int8(3)),
        ("-2", np.float32, np.float32(-2)),
        ("1e3", np.float64, np.float64(1000)),
        ("true", np.bool_, np.bool_(True)),
        ("0", np.bool_, np.bool_(False)),
        (["1", "2"], list[np.uint8], [np.uint8(1), np.uint8(2)]),
        ("7", np.int64 | None, np.int64(7)),
    ],
)
def test_numpy_scalars_come_from_text(text: Any, annotation: Any, expected: Any) -> None:
    found = msgspec.convert(text, annotation, strict=False, dec_hook=from_text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "annotation", "message"),
    [
        ("300", np.int8, "expected a whole number from -128 to 127, got 300"),
        ("-1", np.uint8, "expected a whole number from 0 to 255, got -1"),
        ("1.5", np.int8, "expected a whole number from -128 to 127, got '1.5'"),
        ("many", np.float32, "expected a number that float32 can hold, got 'many'"),
        ("maybe", np.bool_, "expected true or false, got 'maybe'"),
        (["1", "256"], list[np.uint8], r"expected a whole number from 0 to 255, got 256 - at `\$\[1\]`"),
    ],
)
def test_text_that_is_no_such_scalar_is_refused(text: Any, annotation: Any, message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert(text, annotation, strict=False, dec_hook=from_text)


def test_an_array_without_dimensions_is_a_scalar() -> None:
    assert from_plain(np.float32, np.array(1.5)) == np.float32(1.5)
    with pytest.raises(ValueError, match="got ndarray"):
        from_plain(np.float32, np.array([1.5]))


def test_a_model_may_have_its_own_way_to_refuse() -> None:
    class Picky(pydantic.BaseModel):
        @classmethod
        def model_validate(cls, obj: Any, **_: Any) -> Picky:
            raise ValueError("nothing is good enough")

    with pytest.raises(msgspec.ValidationError, match=r"^nothing is good enough - at `\$\[0\]`$"):
        from_json("[{}]", list[Picky])


def test_a_validator_that_raises_something_else_is_not_taken_for_bad_input() -> None:
    class Broken(pydantic.BaseModel):
        count: int

        @pydantic.field_validator("count")
        @classmethod
        def check(cls, value: int) -> int:
            return value // 0

    with pytest.raises(ZeroDivisionError):
        from_json('{"count":1}', Broken)


@pytest.mark.parametrize(
    ("thing", "expected"), [(Person, True), (pydantic.BaseModel, True), (Person(name="A"), False), (int, False)]
)
def test_tells_pydantic_models_from_others(thing: Any, expected: bool) -> None:
    assert is_pydantic(thing) is expected


class Colour(Enum):
    RED = "red"


class Point(msgspec.Struct):
    x: float


@dataclass
class Match:
    vector: NDArray[np.float32]
    person: Person | None


@pytest.mark.parametrize(
    "annotation",
    [
        None, Any, bool, int, float, str, bytes, str | None, int | str, Literal["a", "b"], Colour, Point, Match, Person,
        dt.datetime, list, list[int], dict[str, list[Point]], tuple[int, ...], tuple[()], Sequence[Person],
        np.ndarray, NDArray[np.float32], NDArray[np.float32] | None, list[np.ndarray], np.float32, list[Person],
        Annotated[int, msgspec.Meta(ge=1)], Annotated[list[Person], msgspec.Meta(max_length=2)],
    ],
    ids=repr,
)  # fmt: skip
def test_types_that_can_travel(annotation: Any) -> None:
    assert unsupported(expanded(annotation)) == ""


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        (object, "values of type <class 'object'> cannot travel"),
        (complex, "values of type <class 'complex'> cannot travel"),
        (list[complex], "values of type <class 'complex'> cannot travel"),
        (dict[str, tuple[int, type]], "values of type <class 'type'> cannot travel"),
        (Iterable[int], "values of type collections.abc.Iterable[int] cannot travel"),
        (Callable[[int], int], "values of type collections.abc.Callable[[int], int] cannot travel"),
        (Annotated[list[complex], "many"], "values of type <class 'complex'> cannot travel"),
        (np.floating, "values of type <class 'numpy.floating'> cannot travel"),
        (np.longdouble, "values of type <class 'numpy.longdouble'> cannot travel"),
        (list[np.timedelta64], "values of type <class 'numpy.timedelta64'> cannot travel"),
        (np.str_, "values of type <class 'numpy.str_'> cannot travel"),
    ],
)
def test_types_that_cannot_travel(annotation: Any, reason: str) -> None:
    assert unsupported(annotation) == reason


class Renamed(pydantic.BaseModel):
    how_much: int = pydantic.Field(alias="howMuch")


def test_clients_see_a_model_by_the_names_that_its_schema_has() -> None:
    assert to_json(from_json('{"howMuch":3}', Renamed)) == '{"howMuch":3}'


class Event(msgspec.Struct):
    about: Event | None = None
    people: list[Person] = []
    content: dict[str, msgspec.Raw] = {}


@pytest.mark.parametrize("annotation", [msgspec.Raw, tuple[int, msgspec.Raw], list[Event], Event | None])
def test_what_is_encoded_already_is_found(annotation: Any) -> None:
    assert holds_raw(annotation)


@pytest.mark.parametrize("annotation", [Any, Person, Match, np.ndarray, dict[str, list[Point]], int | None])
def test_all_else_is_not(annotation: Any) -> None:
    assert not holds_raw(annotation)


@pytest.mark.parametrize("annotation", [np.ndarray | int, Point | Match, Person | Point])
def test_unions_that_cannot_be_told_apart(annotation: Any) -> None:
    assert unsupported(annotation).startswith("Type unions may not contain") or "custom type" in unsupported(annotation)

"""Values arrive as they were sent: plain data, arrays of every kind, small and large, and users' own types."""

from __future__ import annotations

import contextlib
import datetime as dt
import weakref
from dataclasses import dataclass
from typing import Any, Literal

import hypothesis.extra.numpy as hnp
import msgspec
import numpy as np
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kapelle.errors import InvalidInput, WireError
from kapelle.types.arrays import Array, ArrayHeader
from kapelle.wire.frames import Frame, FrameReader, encode
from kapelle.wire.payload import ALIGNMENT, INLINE_LIMIT, Packer, Unpacker, split_path

DTYPES = ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16")


def through_a_frame(value: Any, annotation: Any = Any) -> Any:
    """``value`` as it comes out at the other end of a stream."""
    payload = Packer(annotation)(value)
    data = b"".join(encode(bytes(payload.data), payload.segments))
    reader = FrameReader()
    frames: list[Frame] = []
    while data:
        buffer = reader.get_buffer()
        count = min(len(buffer), len(data))
        buffer[:count] = data[:count]
        data = data[count:]
        frames += reader.received(count)
    (frame,) = frames
    return Unpacker(annotation)(msgspec.Raw(frame.head), frame.body)


@st.composite
def arrays(draw: st.DrawFn) -> Array:
    """Arrays of every dtype that may travel, in any byte order, shape and memory layout, on both sides of the limit."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES))).newbyteorder(draw(st.sampled_from("<>")))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
    array: Array = draw(hnp.arrays(dtype, shape))
    if array.ndim and array.size and draw(st.booleans()):
        repeats = -(-INLINE_LIMIT // array.nbytes)
        array = np.concatenate([array] * draw(st.integers(repeats, 2 * repeats)))
    match draw(st.sampled_from(["C", "F", "reversed", "transposed", "every second"])):
        case "F":
            array = np.asfortranarray(array) if array.ndim else array
        case "reversed":
            array = array[::-1] if array.ndim else array
        case "transposed":
            array = array.T
        case "every second":
            array = array[..., ::2] if array.ndim else array
        case _:
            pass
    return array


def assert_same(arrived: Any, sent: Array) -> None:
    assert type(arrived) is np.ndarray
    assert arrived.dtype == sent.dtype.newbyteorder("<")
    assert arrived.shape == sent.shape
    np.testing.assert_array_equal(arrived, sent)
    assert not arrived.flags.writeable, "others may see the same memory"


@given(array=arrays())
def test_an_array_arrives_as_it_was_sent_and_is_not_to_be_written_to(array: Array) -> None:
    assert_same(through_a_frame(array, np.ndarray), array)


@settings(max_examples=50)
@given(several=st.lists(arrays(), min_size=2, max_size=4))
def test_arrays_inside_structures(several: list[Array]) -> None:
    sent = {"list": several, "nested": {"one": several[0], "text": "x"}, "count": len(several)}
    arrived = through_a_frame(sent)
    assert (arrived["count"], arrived["nested"]["text"]) == (len(several), "x")
    assert_same(arrived["nested"]["one"], several[0])
    for one, other in zip(arrived["list"], several, strict=True):
        assert_same(one, other)


@pytest.mark.parametrize(("nbytes", "segments"), [(INLINE_LIMIT - 1, 0), (INLINE_LIMIT, 1), (INLINE_LIMIT + 1, 2)])
def test_large_arrays_travel_beside_the_message_without_a_copy(nbytes: int, segments: int) -> None:
    array = np.arange(nbytes, dtype=np.uint8)
    payload = Packer()(array)
    assert len(payload.segments) == segments
    assert payload.size >= nbytes
    if segments:
        assert np.shares_memory(np.frombuffer(payload.segments[0], np.uint8), array)
        assert sum(map(len, payload.segments)) % ALIGNMENT == 0
        assert len(memoryview(payload.data)) < 100


def test_several_large_arrays_of_odd_sizes_one_value_after_the_other() -> None:
    packer = Packer()
    for first, second in [(INLINE_LIMIT + 1, INLINE_LIMIT + 7), (2 * INLINE_LIMIT + 3, INLINE_LIMIT)]:
        sent = [np.arange(size, dtype=np.uint8) for size in (first, second)]
        payload = packer(sent)
        arrived = Unpacker(list[NDArray[np.uint8]])(payload.data, bytearray(b"".join(payload.segments)))
        for one, other in zip(arrived, sent, strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_array_that_arrives_is_a_view_of_the_body() -> None:
    payload = Packer()(np.zeros(INLINE_LIMIT))
    body = bytearray(b"".join(payload.segments))
    arrived = Unpacker(np.ndarray)(payload.data, body)
    assert np.shares_memory(arrived, np.frombuffer(body, np.uint8))


@pytest.mark.parametrize(("size", "segments"), [(INLINE_LIMIT - 1, 0), (INLINE_LIMIT, 1), (INLINE_LIMIT + 1, 2)])
def test_large_bytes_travel_beside_the_message_without_a_copy(size: int, segments: int) -> None:
    value = bytes(size)
    payload = Packer(bytes)(value)
    assert len(payload.segments) == segments
    assert payload.size >= size
    if segments:
        assert payload.segments[0] is value
        assert sum(map(len, payload.segments)) % ALIGNMENT == 0
        assert len(memoryview(payload.data)) < 20


octets = st.binary(max_size=40) | st.binary(min_size=1, max_size=3).map(lambda some: some * 2 * INLINE_LIMIT)


@settings(max_examples=50)
@given(one=octets, several=st.lists(octets, max_size=4), array=arrays())
def test_bytes_arrive_as_they_were_sent(one: bytes, several: list[bytes], array: Array) -> None:
    for kind in (bytes, bytearray, memoryview):
        arrived = through_a_frame(kind(one), kind)
        assert type(arrived) is kind
        assert arrived == one
    count, rows, whole, tensor = through_a_frame((1, several, one, array), tuple[int, list[bytes], bytes, np.ndarray])
    assert (count, rows, whole) == (1, several, one)
    assert_same(tensor, array)


@pytest.mark.parametrize("annotation", [bytearray, memoryview])
def test_bytes_that_may_be_written_to_can_be_seen_to_be_that(annotation: Any) -> None:
    """By who sends them, who copies what may change before it has left."""
    (segment,) = Packer(annotation)(bytearray(INLINE_LIMIT)).segments
    assert isinstance(segment, memoryview)
    assert not segment.readonly


def test_a_view_of_anything_travels_as_its_bytes() -> None:
    numbers = np.arange(INLINE_LIMIT, dtype=">u2").reshape(2, -1)
    for some in (numbers, numbers.T, numbers[:, ::2], numbers[:, :3], numbers[:0], numbers[0, 0, ...]):
        assert through_a_frame(some.data, memoryview) == some.tobytes()


def test_the_view_that_arrives_is_one_of_the_body_and_is_not_to_be_written_to() -> None:
    payload = Packer(memoryview)(memoryview(bytes(INLINE_LIMIT)))
    body = bytearray(b"".join(payload.segments))
    arrived = Unpacker(memoryview)(payload.data, body)
    assert np.shares_memory(np.frombuffer(arrived, np.uint8), np.frombuffer(body, np.uint8))
    assert arrived.readonly


def test_bytes_within_other_types_stay_in_the_message() -> None:
    sent = {"scan": bytes(INLINE_LIMIT)}
    assert Packer(dict[str, bytes])(sent).segments == ()
    assert through_a_frame(sent, dict[str, bytes]) == sent
    assert through_a_frame(bytes(INLINE_LIMIT), bytes | None) == bytes(INLINE_LIMIT)


def test_something_else_than_bytes_is_named_with_its_place() -> None:
    with pytest.raises(InvalidInput, match="Expected `bytes`, got `str`") as refused:
        through_a_frame((1, ["x" * INLINE_LIMIT]), tuple[int, list[bytes]])
    assert refused.value.path == "$[1][0]"


def test_a_packer_keeps_nothing_of_what_it_packed() -> None:
    packer = Packer()
    array = np.zeros(INLINE_LIMIT)
    there = weakref.ref(array)
    packer(array)
    with pytest.raises(InvalidInput):
        packer([array, object()])
    del array
    assert there() is None
    assert packer(1).segments == ()


class Point(msgspec.Struct, frozen=True):
    x: float
    y: float = 0.0


@dataclass
class Match:
    question: str
    vector: NDArray[np.float32]
    score: np.float32
    at: Point | None = None


class Order(pydantic.BaseModel):
    item: str
    amount: int = 1
    when: dt.date | None = None


class Renamed(pydantic.BaseModel):
    """Its names for clients are others, and so they are in each direction."""

    model_config = pydantic.ConfigDict(extra="forbid")
    how_much: int = pydantic.Field(alias="howMuch")
    taken: int = pydantic.Field(0, validation_alias=pydantic.AliasChoices("in", "input"))
    given: int = pydantic.Field(0, serialization_alias="out")

    @pydantic.computed_field  # type: ignore[prop-decorator]  # pydantic's own way to write it
    @property
    def twice(self) -> int:
        return 2 * self.how_much


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)
    when: dt.datetime
    places: tuple[int, ...]


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (None, None),
        (True, bool),
        (2**63, int),
        (float("inf"), float),
        ("Grüße 🎻", str),
        (b"\x00\xff", bytes),
        ([1, 2, 3], list[int]),
        ((1, "a"), tuple[int, str]),
        ({"a": 1.5}, dict[str, float]),
        ({1, 2}, set[int]),
        ("fast", Literal["fast", "slow"]),
        (dt.datetime(2026, 5, 17, 12, 30, tzinfo=dt.UTC), dt.datetime),
        (Point(1.5), Point),
        ([Point(1.0), Point(2.0, 3.0)], list[Point]),
        (Order(item="oboe", when=dt.date(2026, 5, 17)), Order),
        ([Order(item="oboe")], list[Order]),
        ({"first": Order(item="oboe")}, dict[str, Order]),
        ([Renamed.model_validate({"howMuch": 3, "in": 4, "given": 5})], list[Renamed]),
        (Strict(when=dt.datetime(2026, 5, 17, tzinfo=dt.UTC), places=(1, 2)), Strict),
    ],
)
def test_plain_values_and_models(value: Any, annotation: Any) -> None:
    assert through_a_frame(value, annotation) == value


def test_nan_is_a_number_like_others_between_processes() -> None:
    assert np.isnan(through_a_frame(float("nan"), float))
    assert np.isnan(through_a_frame(np.array([np.nan]), np.ndarray)).all()


@pytest.mark.parametrize("size", [3, 5000])
def test_a_dataclass_with_an_array(size: int) -> None:
    sent = Match("Why?", np.arange(size, dtype=np.float32), np.float32(0.5), Point(1.0))
    arrived = through_a_frame(sent, Match)
    assert isinstance(arrived, Match)
    assert (arrived.question, arrived.score, arrived.at) == ("Why?", np.float32(0.5), Point(1.0))
    assert isinstance(arrived.score, np.float32)
    np.testing.assert_array_equal(arrived.vector, sent.vector)


@pytest.mark.parametrize(
    ("sent", "plain"),
    [(np.float32(1.5), 1.5), (np.int64(3), 3), (np.bool_(True), True), (np.str_("a"), "a"), (np.float64(0.1), 0.1)],
)
def test_numpy_scalars_are_numbers(sent: Any, plain: Any) -> None:
    assert through_a_frame(sent) == plain


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (object(), "values of type object cannot travel"),
        ({"a": [1, 1j]}, "values of type complex cannot travel"),
        (2**64, "can't serialize ints"),
        ("\ud800", "surrogates not allowed"),
        (np.array(["a"]), "arrays of dtype <U1 cannot travel; expected one of"),
        (np.array([None]), "arrays of dtype object cannot travel"),
        (np.ma.masked_array([1, 2], [True, False]), "a masked array cannot travel"),
        (np.longdouble(1), f"values of type {np.dtype(np.longdouble)} cannot travel"),
        (np.datetime64(1, "ns"), r"values of type datetime64\[ns\] cannot travel"),
        (np.timedelta64(3, "Y"), r"values of type timedelta64\[Y\] cannot travel"),
    ],
)
def test_what_cannot_travel_is_refused_by_name(value: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Packer()(value)


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(InvalidInput, match="recursion"):
        Packer()(value)


@pytest.mark.parametrize(
    ("value", "annotation", "detail", "path"),
    [
        ("a", int, "Expected `int`, got `str`", "$"),
        ([1, "a"], list[int], "Expected `int`, got `str`", "$[1]"),
        ({"x": "a"}, Point, "Expected `float`, got `str`", "$.x"),
        ({}, Point, "Object missing required field `x`", "$"),
        (np.zeros(2), int, "Expected `int`, got `ndarray`", "$"),
        ([np.zeros(2)], list[list[float]], "Expected `list`, got `ndarray`", "$[0]"),
        (np.zeros(2), NDArray[np.int32], "expected values of int32, got float64", "$"),
        ([["a"]], list[NDArray[np.float32]], "expected numbers only", "$[0]"),
        ({"item": 3}, Order, "Input should be a valid string", "$.item"),
        ([{"item": "oboe"}, {"item": 3}], list[Order], "Input should be a valid string", "$[1].item"),
        ({"item": "oboe", "when": "soon"}, Order, "Input should be a valid date", "$.when"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_with_its_place(
    value: Any, annotation: Any, detail: str, path: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        through_a_frame(value, annotation)
    assert refused.value.detail.startswith(detail)
    assert refused.value.path == path


def extension(code: int, content: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.msgpack.encode(msgspec.msgpack.Ext(code, msgspec.msgpack.encode(content))))


F4 = ("<f4", (4,))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (msgspec.Raw(b"\x93\x01"), "not a payload"),
        (msgspec.Raw(b"\xc1"), "not a payload"),
        (msgspec.Raw(b"\x91" * 5000), "not a payload"),
        (extension(9, []), "unknown msgpack extension 9"),
        (extension(1, [F4, b"abc"]), "takes 16 bytes; got 3"),
        (extension(1, [("O", (1,)), b"\0" * 8]), "array of dtype 'O'; expected one of"),
        (extension(1, [("<f4", (-4,)), b"\0" * 16]), "expected no negative extent"),
        (extension(1, [("<f4", (2**62, 2**62, 0)), b""]), "array of shape"),
        (extension(1, [("<f4", (0,) * 33), b""]), "33 dimensions; expected at most 32"),
        (extension(2, [F4, 0, 20]), "array of shape"),
        (extension(2, [F4, 28, 16]), "bytes 28..44 of a body of 32 bytes"),
        (extension(2, [F4, -16, 16]), "bytes -16..0 of a body of 32 bytes"),
        (extension(2, [F4, 2**63, 16]), "of a body of 32 bytes"),
        (extension(1, [F4]), "not an array"),
        (extension(2, ["<f4", 0, 16]), "not an array"),
        (extension(1, 5), "not an array"),
        (extension(3, [0, 33]), "bytes 0..33 of a body of 32 bytes"),
        (extension(3, [-1, 4]), "bytes -1..3 of a body of 32 bytes"),
        (extension(3, [2**63, 4]), "of a body of 32 bytes"),
        (extension(3, [8, -4]), "bytes 8..4 of a body of 32 bytes"),
        (extension(3, [8]), "nor bytes"),
        (extension(3, b"x"), "nor bytes"),
    ],
)
def test_bytes_that_are_no_payload_are_a_wire_error(data: msgspec.Raw, message: str) -> None:
    with pytest.raises(WireError, match=message):
        Unpacker(Any)(data, bytearray(32))


@given(
    data=st.binary(max_size=80),
    body=st.binary(max_size=64),
    annotation=st.sampled_from([Any, Match, list[Order], bytes, list[memoryview]]),
)
def test_any_bytes_are_a_value_or_a_typed_error(data: bytes, body: bytes, annotation: Any) -> None:
    with contextlib.suppress(InvalidInput, WireError):
        Unpacker(annotation)(msgspec.Raw(data), body)


headers = st.builds(
    ArrayHeader,
    st.sampled_from(["<f4", "|u1", "<c16", "|b1", "O", ">f4", "<U4", ""]),
    st.lists(st.integers(-2, 6) | st.sampled_from([2**31, 2**63 - 1, 2**64 - 1]), max_size=4).map(tuple),
)


@given(header=headers, offset=st.integers(-8, 80) | st.just(2**64 - 1), size=st.integers(-8, 80) | st.just(2**64 - 1))
def test_any_header_is_an_array_within_the_body_or_a_wire_error(header: ArrayHeader, offset: int, size: int) -> None:
    body = bytearray(64)
    try:
        array = Unpacker(Any)(extension(2, [header, offset, size]), body)
    except WireError:
        return
    assert array.nbytes == size
    assert not size or np.shares_memory(array, np.frombuffer(body, np.uint8))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Expected `int`", ("Expected `int`", "$")),
        ("Expected `int`, got `str` - at `$.a[0]`", ("Expected `int`, got `str`", "$.a[0]")),
        ("too short - at `$.name` - at `$[1]`", ("too short", "$[1].name")),
        ("say `x - at y`", ("say `x - at y`", "$")),
    ],
)
def test_paths_are_told_from_messages(message: str, expected: tuple[str, str]) -> None:
    assert split_path(message) == expected

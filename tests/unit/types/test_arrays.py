"""Which arrays may travel, how they are described, and what is refused on arrival."""

from __future__ import annotations

from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kapelle.errors import InvalidInput, WireError
from kapelle.types.aliases import expanded
from kapelle.types.arrays import (
    MAX_DIMENSIONS,
    ArrayHeader,
    annotated_dtype,
    as_array,
    from_buffer,
    is_array_type,
    portable,
)

DTYPES = ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16")
Float32: Any = expanded(npt.NDArray[np.float32])
UInt8: Any = expanded(npt.NDArray[np.uint8])
Int32: Any = expanded(npt.NDArray[np.int32])

any_dtype = st.builds(
    lambda name, order: np.dtype(name).newbyteorder(order), st.sampled_from(DTYPES), st.sampled_from("<>")
)


@given(array=any_dtype.flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0))))
def test_a_portable_array_is_little_endian_contiguous_and_reads_back_the_same(array: Any) -> None:
    made = portable(array)
    assert made.flags.c_contiguous
    back = from_buffer(ArrayHeader(made.dtype.str, made.shape), made.tobytes())
    assert back.shape == array.shape
    assert back.dtype == array.dtype.newbyteorder("<")
    np.testing.assert_array_equal(back, array)


def test_what_is_portable_already_is_not_copied() -> None:
    array = np.zeros((2, 3), np.float32)
    assert portable(array) is array


def test_a_matrix_is_sent_as_a_plain_array() -> None:
    with pytest.warns(PendingDeprecationWarning):
        matrix = np.matrix([[1.0, 2.0]])
    assert type(portable(matrix)) is np.ndarray


@pytest.mark.parametrize("dtype", ["O", "U3", "S3", "M8[s]", "m8[s]", "V4", "f4,i4"])
def test_other_dtypes_cannot_travel(dtype: str) -> None:
    with pytest.raises(InvalidInput, match=r"arrays of dtype .* cannot travel; expected one of \|b1, \|i1, <i2"):
        portable(np.zeros(2, dtype))


def test_text_of_any_length_cannot_travel() -> None:
    with pytest.raises(InvalidInput, match=r"arrays of dtype StringDType\(\) cannot travel; expected one of"):
        portable(np.array(["a"], np.dtypes.StringDType()))


def test_a_masked_array_cannot_travel() -> None:
    with pytest.raises(InvalidInput, match=r"its mask would be lost; fill it first \(`.filled\(...\)`\)"):
        portable(np.ma.masked_array([1.0, 2.0], [True, False]))


def test_too_many_dimensions_cannot_travel() -> None:
    portable(np.zeros((1,) * MAX_DIMENSIONS))
    with pytest.raises(InvalidInput, match="an array of 33 dimensions cannot travel; expected at most 32"):
        portable(np.zeros((1,) * (MAX_DIMENSIONS + 1)))


@pytest.mark.parametrize(
    ("header", "data", "message"),
    [
        (ArrayHeader("O", (1,)), bytes(8), "array of dtype 'O'; expected one of"),
        (ArrayHeader(">f4", (1,)), bytes(4), "array of dtype '>f4'; expected one of"),
        (ArrayHeader("f4", (1,)), bytes(4), "array of dtype 'f4'; expected one of"),
        (ArrayHeader("", (1,)), bytes(4), "array of dtype ''; expected one of"),
        (ArrayHeader("<f4", (2,)), bytes(4), r"array of shape \(2,\) float32 takes 8 bytes; got 4"),
        (ArrayHeader("<f4", (1,)), bytes(5), r"array of shape \(1,\) float32 takes 4 bytes; got 5"),
        (ArrayHeader("<f4", ()), b"", r"array of shape \(\) float32 takes 4 bytes; got 0"),
        (ArrayHeader("<f4", (-1, -1)), bytes(4), r"array of shape \(-1, -1\); expected no negative extent"),
        (ArrayHeader("<f4", (2**40, 2**40)), bytes(4), "takes 4835703278458516698824704 bytes; got 4"),
        (ArrayHeader("<f4", (2**62, 2**62, 0)), b"", "array of shape .*: cannot reshape"),
        (ArrayHeader("<f4", (2**64, 0)), b"", "array of shape .*: Maximum allowed dimension exceeded"),
        (ArrayHeader("<f4", (1,) * 33), bytes(4), "array with 33 dimensions; expected at most 32"),
    ],
)
def test_a_header_that_does_not_fit_its_bytes_is_refused(header: ArrayHeader, data: bytes, message: str) -> None:
    with pytest.raises(WireError, match=message):
        from_buffer(header, data)


@pytest.mark.parametrize(
    ("annotation", "dtype"),
    [
        (np.ndarray, None),
        (npt.NDArray[Any], None),
        (npt.NDArray[np.floating], None),
        (npt.NDArray[np.complexfloating], None),
        (npt.NDArray[np.float32 | np.float64], None),
        (npt.NDArray[np.float32], np.dtype("f4")),
        (npt.NDArray[np.bool_], np.dtype("?")),
        (np.ndarray[tuple[int, int], np.dtype[np.uint8]], np.dtype("u1")),
        (list[float], None),
    ],
    ids=repr,
)
def test_the_dtype_of_an_annotation(annotation: Any, dtype: np.dtype[Any] | None) -> None:
    assert annotated_dtype(expanded(annotation)) == dtype


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [(np.ndarray, True), (Float32, True), (list[float], False), (np.float32, False), (None, False)],
    ids=repr,
)
def test_tells_array_types_from_others(annotation: Any, expected: bool) -> None:
    assert is_array_type(expanded(annotation)) is expected


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (np.ndarray, [1, 2], np.array([1, 2])),
        (np.ndarray, [[1.5], [2.0]], np.array([[1.5], [2.0]])),
        (np.ndarray, [True, False], np.array([True, False])),
        (np.ndarray, 3, np.array(3)),
        (np.ndarray, [], np.array([])),
        (Float32, [1, 2.5], np.array([1, 2.5], np.float32)),
        (Float32, [[]], np.zeros((1, 0), np.float32)),
        (Int32, [], np.zeros(0, np.int32)),
        (UInt8, [[0, 255]], np.array([[0, 255]], np.uint8)),
        (Int32, [-(2**31), 2**31 - 1], np.array([-(2**31), 2**31 - 1], np.int32)),
        (npt.NDArray[np.uint64], [2**64 - 1], np.array([2**64 - 1], np.uint64)),
        (npt.NDArray[np.uint64], [[2**64 - 1], [0]], np.array([[2**64 - 1], [0]], np.uint64)),
        (npt.NDArray[np.uint64], [], np.zeros(0, np.uint64)),
        (npt.NDArray[np.bool_], [True], np.array([True])),
        (np.ndarray, [np.array([1j], np.complex64), np.array([2], np.complex64)], np.array([[1j], [2]], np.complex64)),
    ],
)
def test_lists_become_arrays(annotation: Any, value: Any, expected: Any) -> None:
    made = as_array(expanded(annotation), value)
    assert made.dtype == expected.dtype
    np.testing.assert_array_equal(made, expected)


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (np.ndarray, "text", "expected nested lists of numbers, got str"),
        (np.ndarray, {"a": 1}, "expected nested lists of numbers, got dict"),
        (np.ndarray, None, "expected nested lists of numbers, got NoneType"),
        (np.ndarray, ["a", "b"], "expected numbers only"),
        (np.ndarray, [1, None], "expected numbers only"),
        (np.ndarray, [1, "2"], "expected numbers only"),
        (np.ndarray, [2**70], "expected numbers only"),
        (np.ndarray, [{"a": 1}], "expected numbers only"),
        (np.ndarray, [[1, 2], [3]], "expected a rectangular array: lists of one level must have the same length"),
        (np.ndarray, [1, [2]], "expected a rectangular array"),
        (Int32, [1.5], "expected values of int32, got float64"),
        (npt.NDArray[np.bool_], [1, 0], "expected values of bool, got int64"),
        (Int32, [2**31], "a value is out of range for int32"),
        (npt.NDArray[np.uint64], [2**64 - 1, -1], "a value is out of range for uint64"),
        (npt.NDArray[np.uint64], [2**64 - 1, 1.5], "expected values of uint64, got float64"),
        (UInt8, [256], "a value is out of range for uint8"),
        (UInt8, [-1], "a value is out of range for uint8"),
        (Float32, [1e300], "a value is out of range for float32"),
    ],
)
def test_lists_that_the_array_cannot_hold_are_refused(annotation: Any, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_array(expanded(annotation), value)


def test_an_array_of_the_right_dtype_is_taken_as_it_is() -> None:
    array = np.zeros(3, np.float32)
    assert as_array(Float32, array) is array
    assert as_array(np.ndarray, array) is array


def test_an_array_is_cast_within_its_kind() -> None:
    cast = as_array(Float32, np.array([0.5, np.nan, np.inf]))
    assert cast.dtype == np.float32
    np.testing.assert_array_equal(cast, np.array([0.5, np.nan, np.inf], np.float32))
    assert as_array(UInt8, np.array([7], np.int64)).dtype == np.uint8


@pytest.mark.parametrize(
    ("annotation", "array"),
    [
        (UInt8, np.array([300])),
        (UInt8, np.array([-1])),
        (Int32, np.array([2**40])),
        (npt.NDArray[np.int64], np.array([2**63], np.uint64)),
        (Float32, np.array([1e300])),
        (Int32, np.array([1.0])),
        (npt.NDArray[np.bool_], np.array([1])),
        (Float32, np.array([1j])),
    ],
)
def test_no_number_is_changed_by_a_cast(annotation: Any, array: Any) -> None:
    with pytest.raises(ValueError, match=r"a value is out of range for|expected values of"):
        as_array(expanded(annotation), array)


@given(
    values=st.lists(st.integers(-(2**63), 2**64 - 1), max_size=5),
    dtype=st.sampled_from(["i1", "u1", "i4", "u4", "i8", "u8"]),
)
def test_integers_arrive_exactly_or_not_at_all(values: list[int], dtype: str) -> None:
    annotation: Any = np.ndarray[Any, np.dtype[np.dtype(dtype).type]]  # type: ignore[misc]  # known at run time only
    try:
        made = as_array(expanded(annotation), values)
    except ValueError:
        limits = np.iinfo(dtype)
        assert not all(limits.min <= value <= limits.max for value in values)
        return
    assert made.tolist() == values

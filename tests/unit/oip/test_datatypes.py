"""Datatypes of the protocol, as bytes and back."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kapelle.oip.datatypes import (
    BF16,
    DTYPES,
    bfloat16,
    datatype_of,
    item_size,
    read_bytes,
    read_numbers,
    write_bytes,
    write_numbers,
)
from kapelle.types.arrays import Array


@pytest.mark.parametrize("name", DTYPES)
def test_each_datatype_has_a_dtype_and_a_size(name: str) -> None:
    assert datatype_of(DTYPES[name]) == name
    assert item_size(name) == DTYPES[name].itemsize


def test_a_dtype_that_the_protocol_lacks_has_no_name() -> None:
    assert datatype_of(np.dtype(np.complex64)) == ""
    assert (item_size(BF16), item_size("BYTES")) == (2, 0)


def test_the_order_of_bytes_does_not_matter() -> None:
    assert datatype_of(np.dtype(">f4")) == "FP32"
    assert bytes(write_numbers(np.array([1, 2], ">i4"))) == np.array([1, 2], "<i4").tobytes()


@given(hnp.arrays(st.sampled_from(list(DTYPES.values())), hnp.array_shapes(max_dims=3, max_side=4)))
def test_numbers_come_back(array: Array) -> None:
    again = read_numbers(datatype_of(array.dtype), write_numbers(array)).reshape(array.shape)
    assert again.tobytes() == array.tobytes()


def test_arrays_that_do_not_lie_in_order_are_written_in_order() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3).T
    assert bytes(write_numbers(array)) == np.ascontiguousarray(array).tobytes()


def test_flags_are_zero_or_one() -> None:
    assert read_numbers("BOOL", b"\x00\x01").tolist() == [False, True]
    with pytest.raises(ValueError, match="other than 0 and 1"):
        read_numbers("BOOL", b"\x00\x02")


@given(st.lists(st.binary(max_size=20), max_size=6))
def test_elements_of_bytes_come_back(elements: list[bytes]) -> None:
    assert read_bytes(write_bytes(elements), len(elements)) == elements


@pytest.mark.parametrize(
    ("data", "count", "said"),
    [
        (b"", 1, "cannot hold 1 elements"),
        (b"\x05\x00\x00\x00ab", 1, "ends after the data"),
        (b"\xff\xff\xff\xff", 1, "ends after the data"),
        (b"\x01\x00\x00\x00ab", 1, "take 5 bytes, got 6"),
        (b"\x01\x00\x00\x00a", 10**12, "cannot hold"),
        (b"\x04\x00\x00\x00abcd", 2, "ends after the data"),
    ],
)
def test_lengths_that_lie_are_refused(data: bytes, count: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_bytes(data, count)


@given(hnp.arrays(np.float32, 8, elements=st.floats(width=32, allow_nan=False)))
def test_bf16_is_rounded_as_others_round_it(array: Array) -> None:
    with np.errstate(over="ignore"):
        expected = array.astype(ml_dtypes.bfloat16)
    assert bfloat16(array).tobytes() == expected.tobytes()
    assert (read_numbers(BF16, expected.tobytes()) == expected.astype(np.float32)).all()


def test_bf16_keeps_nan() -> None:
    assert np.isnan(read_numbers(BF16, bfloat16(np.array([np.nan], np.float32)).tobytes())).all()

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kapelle.client.tensors import array_of, array_of_values, tensors
from kapelle.errors import ContractError, InvalidInput
from kapelle.oip.datatypes import DTYPES


@given(hnp.arrays(st.sampled_from(list(DTYPES.values())), hnp.array_shapes(min_dims=0, min_side=0)))
def test_numbers_come_back_as_they_went(array: np.ndarray[Any, np.dtype[Any]]) -> None:
    (sent,) = tensors({"x": array})
    back = array_of("x", sent.datatype, sent.shape, bytes(sent.data))
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tobytes() == array.tobytes()


@given(st.lists(st.one_of(st.binary(), st.text()), min_size=1))
def test_texts_and_bytes_come_back_as_bytes(elements: list[bytes | str]) -> None:
    (sent,) = tensors({"x": elements})
    assert (sent.datatype, sent.shape) == ("BYTES", (len(elements),))
    back = array_of("x", sent.datatype, sent.shape, sent.data)
    assert back.tolist() == [one if isinstance(one, bytes) else one.encode() for one in elements]


@pytest.mark.parametrize(
    ("value", "datatype", "shape"),
    [
        (3, "INT64", (1,)),
        (1.5, "FP64", (1,)),
        (True, "BOOL", (1,)),
        ("text", "BYTES", (1,)),
        (b"a\0", "BYTES", (1,)),
        ([[1, 2], [3, 4]], "INT64", (2, 2)),
        ([["a"], ["b"]], "BYTES", (2, 1)),
        (np.array(["a", "bc"]), "BYTES", (2,)),
        (np.float16(1), "FP16", (1,)),
        (np.array(1, ">i4"), "INT32", ()),
        ([], "FP64", (0,)),
        (np.ones((2, 3), ml_dtypes.bfloat16), "BF16", (2, 3)),
    ],
)
def test_what_numpy_makes_arrays_of(value: object, datatype: str, shape: tuple[int, ...]) -> None:
    (sent,) = tensors({"x": value})
    assert (sent.name, sent.datatype, sent.shape) == ("x", datatype, shape)


def test_bfloat16_comes_back_as_float32() -> None:
    (sent,) = tensors({"x": np.array([1.5, -0.0, 3.140625, np.inf], ml_dtypes.bfloat16)[::-1]})
    back = array_of("x", sent.datatype, sent.shape, sent.data)
    np.testing.assert_array_equal(back, np.array([np.inf, 3.140625, -0.0, 1.5], np.float32))


def test_zeros_at_the_end_of_bytes_stay() -> None:
    (sent,) = tensors({"x": [b"a\0"]})
    assert bytes(sent.data) == b"\x02\0\0\0a\0"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([[1], [2, 3]], "not an array"),
        (np.zeros(2, complex), "no datatype for arrays of complex128"),
        (np.zeros(2, "M8[s]"), "no datatype for arrays of datetime64"),
        (np.ma.masked_array([1, 2], [True, False]), "would lose its mask"),
        ([object()], "expected numbers, text or bytes, got object"),
        ([2**70], "got int"),
        (None, "got NoneType"),
        (["fine", "\udcff"], "not text that UTF-8 can hold"),
    ],
)
def test_what_is_no_tensor(value: object, told: str) -> None:
    with pytest.raises(InvalidInput, match=told) as refused:
        tensors({"x": value})
    assert refused.value.path == "x"


def test_outputs_are_aligned_and_lie_over_the_answer_where_they_can() -> None:
    answer = memoryview(np.arange(9, dtype=np.uint8).tobytes())
    over = array_of("x", "UINT8", (8,), answer[1:9])
    assert over.base is not None
    assert not over.flags.writeable
    assert array_of("x", "FP32", (2,), answer[1:9]).flags.aligned


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "told"),
    [
        ("FP32", (2,), b"1234", r"FP32 of shape \[2\] takes 8 bytes, got 4"),
        ("FP8", (1,), b"1", "unknown datatype 'FP8'"),
        ("INT8", (-1,), b"", r"has shape \[-1\]"),
        ("BYTES", (2,), b"\0\0\0\0", "cannot hold 2 elements"),
        ("BOOL", (1,), b"\2", "other than 0 and 1"),
    ],
)
def test_what_is_no_output(datatype: str, shape: tuple[int, ...], data: bytes, told: str) -> None:
    with pytest.raises(ContractError, match=f"output 'x'.*{told}"):
        array_of("x", datatype, shape, data)


def test_values_of_json() -> None:
    assert array_of_values("x", "INT8", (2, 1), [1, 2]).tolist() == [[1], [2]]
    assert array_of_values("x", "BF16", (1,), [1.5]).dtype == np.float32
    assert array_of_values("x", "BYTES", (1,), ["ö"]).tolist() == ["ö".encode()]


@pytest.mark.parametrize(
    ("datatype", "values"), [("INT8", [1]), ("INT8", ["a", "b"]), ("BYTES", [1, 2]), ("INT8", [1, 300])]
)
def test_values_that_do_not_fit(datatype: str, values: list[Any]) -> None:
    with pytest.raises(ContractError, match="output 'x'"):
        array_of_values("x", datatype, (2,), values)

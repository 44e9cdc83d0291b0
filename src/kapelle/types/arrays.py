"""NumPy arrays as bytes: which dtypes may travel, how a header describes one, and how it is checked on arrival.

A header is untrusted: its dtype must be on the list, and its shape must account for exactly the bytes that came.
"""

from __future__ import annotations

from typing import Any, get_args, get_origin

import msgspec
import numpy as np

from kapelle.errors import InvalidInput, WireError

Array = np.ndarray[Any, np.dtype[Any]]

MAX_DIMENSIONS = 32

_DTYPES: dict[str, np.dtype[Any]] = {
    np.dtype(kind).str: np.dtype(kind)
    for kind in ("?", "i1", "<i2", "<i4", "<i8", "u1", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8", "<c8", "<c16")
}


class ArrayHeader(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How to read an array's bytes: little-endian, C order."""

    dtype: str
    shape: tuple[int, ...]


def portable(array: Array) -> Array:
    """The same values as a little-endian C-contiguous array of a dtype that may travel (no copy when it already is one).

    Raises:
        InvalidInput: for object, string and other dtypes that have no fixed, safe meaning in bytes.
    """
    name = array.dtype.str
    if name not in _DTYPES:
        little = array.dtype.newbyteorder("<").str
        if little not in _DTYPES:
            raise InvalidInput(f"arrays of dtype {array.dtype} cannot travel; expected one of {', '.join(_DTYPES)}")
        array = array.astype(little)
    return np.ascontiguousarray(array) if array.ndim else array


def from_buffer(header: ArrayHeader, data: bytes | bytearray | memoryview) -> Array:
    """The array that ``header`` describes, over ``data`` without a copy.

    Raises:
        WireError: when dtype, shape and byte count do not fit together.
    """
    dtype = _DTYPES.get(header.dtype)
    if dtype is None:
        raise WireError(f"array of dtype {header.dtype!r}; expected one of {', '.join(_DTYPES)}")
    if len(header.shape) > MAX_DIMENSIONS:
        raise WireError(f"array with {len(header.shape)} dimensions; expected at most {MAX_DIMENSIONS}")
    count = 1
    for extent in header.shape:
        if extent < 0:
            raise WireError(f"array of shape {header.shape}; expected no negative extent")
        count *= extent
    if count * dtype.itemsize != len(data):
        raise WireError(f"array of shape {header.shape} {dtype} takes {count * dtype.itemsize} bytes; got {len(data)}")
    return np.frombuffer(data, dtype).reshape(header.shape)


def annotated_dtype(annotation: Any) -> np.dtype[Any] | None:
    """The dtype of ``NDArray[np.float32]``; None for a bare ``np.ndarray`` or one of any dtype."""
    if get_origin(annotation) is not np.ndarray:
        return None
    arguments = get_args(annotation)
    inner = get_args(arguments[1]) if len(arguments) > 1 else ()
    scalar = inner[0] if inner else None
    if isinstance(scalar, type) and issubclass(scalar, np.generic) and scalar not in _ABSTRACT:
        return np.dtype(scalar)
    return None


_ABSTRACT = {np.generic, np.number, np.integer, np.floating, np.inexact, np.signedinteger, np.unsignedinteger}


def is_array_type(annotation: Any) -> bool:
    """Whether ``annotation`` is ``np.ndarray`` or ``NDArray[...]``."""
    return annotation is np.ndarray or get_origin(annotation) is np.ndarray


def as_array(annotation: Any, value: Any) -> Array:
    """``value`` (nested lists from JSON, or an array from the wire) as the array type that ``annotation`` names.

    Raises:
        ValueError: ragged lists, text where numbers belong, or values that the dtype cannot hold.
    """
    dtype = annotated_dtype(annotation)
    if isinstance(value, np.ndarray):
        if dtype is None or value.dtype == dtype:
            return value
        if not np.can_cast(value.dtype, dtype, "same_kind"):
            raise ValueError(f"expected an array of {dtype}, got {value.dtype}")
        return value.astype(dtype)
    if not isinstance(value, list | int | float | bool):
        raise ValueError(f"expected nested lists of numbers, got {type(value).__name__}")
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError("expected a rectangular array: lists of one level must have the same length") from None
    if array.dtype.kind not in "?biuf":
        raise ValueError("expected numbers only")
    if dtype is None:
        return array
    if array.size and not np.can_cast(array.dtype, dtype, "same_kind"):
        raise ValueError(f"expected values of {dtype}, got {array.dtype}")
    with np.errstate(over="ignore"):
        cast = array.astype(dtype)
    if dtype.kind in "iu" and not np.array_equal(cast, array):
        raise ValueError(f"a value is out of range for {dtype}")
    if dtype.kind == "f" and not np.isfinite(cast).all():
        raise ValueError(f"a value is out of range for {dtype}")
    return cast

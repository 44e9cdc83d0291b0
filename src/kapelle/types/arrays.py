"""NumPy arrays as bytes: which dtypes may travel, how a header describes one, and how it is checked on arrival.

A header is untrusted: its dtype must be on the list, and its shape must account for exactly the bytes that came.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, get_args

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
    """The same values as a little-endian C-contiguous array of a dtype that may travel; no copy when it is one already.

    Raises:
        InvalidInput: for object, string and other dtypes that have no fixed, safe meaning in bytes, for masked arrays,
            whose mask would be lost, and for more than ``MAX_DIMENSIONS`` dimensions.
    """
    if array.ndim > MAX_DIMENSIONS:
        raise InvalidInput(f"an array of {array.ndim} dimensions cannot travel; expected at most {MAX_DIMENSIONS}")
    if type(array) is not np.ndarray:
        if hasattr(array, "mask"):
            raise InvalidInput("a masked array cannot travel: its mask would be lost; fill it first (`.filled(...)`)")
        array = np.asarray(array)
    name = array.dtype.str
    if name not in _DTYPES:
        little = name.replace(">", "<")
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
    try:
        return np.frombuffer(data, dtype).reshape(header.shape)
    except ValueError as error:  # an empty array with extents that no memory could hold
        raise WireError(f"array of shape {header.shape}: {error}") from None


def annotated_dtype(annotation: Any) -> np.dtype[Any] | None:
    """The dtype of ``NDArray[np.float32]``; None for a bare ``np.ndarray`` or one of any dtype."""
    return _dtype_within(annotation) if is_array_type(annotation) else None


@lru_cache(maxsize=256)  # asked with every array that arrives
def _dtype_within(annotation: Any) -> np.dtype[Any] | None:
    arguments = get_args(annotation)
    inner = get_args(arguments[1]) if len(arguments) > 1 else ()
    scalar = inner[0] if inner else None
    if isinstance(scalar, type) and issubclass(scalar, np.generic) and scalar not in ABSTRACT:
        return np.dtype(scalar)
    return None


# Classes of kinds of numbers: no value is of one of these alone, and none has a size.
ABSTRACT = {
    np.generic,
    np.number,
    np.integer,
    np.signedinteger,
    np.unsignedinteger,
    np.inexact,
    np.floating,
    np.complexfloating,
    np.flexible,
    np.character,
}


def is_array_type(annotation: Any) -> bool:
    """Whether ``annotation`` is ``np.ndarray`` or ``NDArray[...]``."""
    # What `get_origin` looks at in the end: this is asked with every array that arrives.
    return annotation is np.ndarray or getattr(annotation, "__origin__", None) is np.ndarray


def as_array(annotation: Any, value: Any) -> Array:
    """``value`` (nested lists from JSON, or an array from the wire) as the array type that ``annotation`` names.

    Raises:
        ValueError: ragged lists, text where numbers belong, or values that the dtype cannot hold.
    """
    dtype = annotated_dtype(annotation)
    if dtype is None:
        return value if isinstance(value, np.ndarray) else _from_lists(value)
    return as_exact(dtype, value)


def as_exact(dtype: np.dtype[Any], value: Any) -> Array:
    """``value`` (nested lists, or an array) as an array of ``dtype``.

    Raises:
        ValueError: as for ``as_array``.
    """
    array = value if isinstance(value, np.ndarray) else _from_lists(value)
    if array.dtype.kind == "f" and dtype == np.uint64 and isinstance(value, list):
        array = _as_integers(value, array)
    return array if array.dtype == dtype else _cast(array, dtype)


def _from_lists(value: Any) -> Array:
    if not isinstance(value, list | int | float):
        raise ValueError(f"expected nested lists of numbers, got {type(value).__name__}")
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError("expected a rectangular array: lists of one level must have the same length") from None
    if array.dtype.kind not in "biufc":
        raise ValueError("expected numbers only")
    return array


def _as_integers(value: list[Any], array: Array) -> Array:
    """Lists of integers, of which NumPy makes floats where some fit int64 alone and some uint64 alone; else ``array``."""
    numbers = np.array(value, object)
    if not array.size or any(type(one) is not int for one in numbers.flat):
        return array
    if any(one < 0 for one in numbers.flat):
        raise ValueError("a value is out of range for uint64")
    return numbers.astype(np.uint64)


def _cast(array: Array, dtype: np.dtype[Any]) -> Array:
    """The same values as another dtype; never a wrapped integer, a lost fraction or a number that became infinite."""
    is_integral = array.dtype.kind in "iu" and dtype.kind in "iu"
    # An empty list says nothing of what it would hold.
    if array.size and not is_integral and not np.can_cast(array.dtype, dtype, "same_kind"):
        raise ValueError(f"expected values of {dtype}, got {array.dtype}")
    with np.errstate(over="ignore"):
        cast = array.astype(dtype)
    if is_integral:
        fits = not array.size or (np.iinfo(dtype).min <= int(array.min()) and int(array.max()) <= np.iinfo(dtype).max)
    else:
        fits = np.array_equal(np.isfinite(array), np.isfinite(cast))
    if not fits:
        raise ValueError(f"a value is out of range for {dtype}")
    return cast

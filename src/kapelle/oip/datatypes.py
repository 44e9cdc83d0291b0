"""The datatypes of the Open Inference Protocol, and how their values lie in bytes.

Source: the protocol's "tensor data types" and its binary tensor extension. Values are little-endian, in row-major order;
an element of BYTES is its length in four bytes and its content; BF16 is the upper half of a float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kapelle.types.arrays import Array

Data = bytes | bytearray | memoryview

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
"""Those that NumPy has as well."""
BYTES = "BYTES"
BF16 = "BF16"
NAMES = frozenset({*DTYPES, BYTES, BF16})

_DATATYPES = {dtype: name for name, dtype in DTYPES.items()}
_LENGTH = 4


def datatype_of(dtype: np.dtype[Any]) -> str:
    """The protocol's name of a dtype; empty where it has none (complex numbers)."""
    return _DATATYPES.get(dtype.newbyteorder("<"), "")


def item_size(datatype: str) -> int:
    """Bytes of one element; 0 for BYTES, whose elements differ."""
    if datatype == BF16:
        return 2
    return 0 if datatype == BYTES else DTYPES[datatype].itemsize


def read_numbers(datatype: str, data: Data) -> Array:
    """A flat array over ``data``, which holds whole elements; one of BF16 is widened to float32, which is exact.

    Raises:
        ValueError: BOOL has values other than 0 and 1.
    """
    if datatype == BF16:
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    if datatype == "BOOL" and len(data) and int(np.frombuffer(data, np.uint8).max()) > 1:
        # NumPy would take any byte for a flag, and give wrong sums.
        raise ValueError("BOOL has bytes other than 0 and 1")
    array = np.frombuffer(data, DTYPES[datatype])
    # Libraries below NumPy may read several numbers at a time, and take it for granted that they lie at even places.
    return array if array.flags.aligned else array.copy()


def read_bytes(data: Data, count: int) -> list[bytes]:
    """The ``count`` elements of BYTES in ``data``.

    Raises:
        ValueError: their lengths do not account for exactly the bytes that came.
    """
    view, found, at = memoryview(data), [], 0
    if count * _LENGTH > len(view):
        raise ValueError(
            f"{len(view)} bytes cannot hold {count} elements of BYTES, which have {_LENGTH} of length each"
        )
    for number in range(count):
        start = at + _LENGTH
        at = start + int.from_bytes(view[at:start], "little")
        if start > len(view) or at > len(view):
            raise ValueError(f"element {number} of BYTES ends after the data")
        found.append(bytes(view[start:at]))
    if at != len(view):
        raise ValueError(f"{count} elements of BYTES take {at} bytes, got {len(view)}")
    return found


def write_numbers(array: Array) -> Data:
    """The bytes of an array, without a copy where it lies in order."""
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return np.ascontiguousarray(little).reshape(-1).view(np.uint8).data


def write_bytes(elements: Sequence[bytes]) -> bytes:
    """Elements of BYTES, one after the other."""
    return b"".join(part for one in elements for part in (len(one).to_bytes(_LENGTH, "little"), one))


def bfloat16(array: NDArray[np.float32]) -> NDArray[np.uint16]:
    """float32 as BF16, rounded to the nearest, ties to even; NaN stays NaN."""
    bits = array.view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(array), (bits >> 16) | 0x40, rounded).astype("<u2")

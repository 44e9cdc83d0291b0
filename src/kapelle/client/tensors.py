"""Arrays as tensors of the Open Inference Protocol, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kapelle.client.form import encoded
from kapelle.errors import ContractError, InvalidInput
from kapelle.oip.datatypes import (
    BF16,
    BYTES,
    DTYPES,
    NAMES,
    Data,
    datatype_of,
    item_size,
    read_bytes,
    read_numbers,
    write_bytes,
    write_numbers,
)
from kapelle.types.arrays import Array


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input, ready to be sent."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Data


def tensors(inputs: Mapping[str, Any]) -> list[Tensor]:
    """Inputs by their names: arrays, and what NumPy makes arrays of. Text and bytes are BYTES; one value alone has shape 1.

    Raises:
        InvalidInput: the protocol has no datatype for one; ``path`` is its name.
    """
    return [_tensor(name, value) for name, value in inputs.items()]


def array_of(name: str, datatype: str, shape: tuple[int, ...], data: Data) -> Array:
    """The output ``name`` over ``data``, read-only and without a copy where it can be; BYTES are ``bytes`` objects.

    Raises:
        ContractError: the bytes are not such a tensor.
    """
    count = _count(name, datatype, shape)
    if datatype != BYTES and len(data) != count * item_size(datatype):
        raise ContractError(
            f"output {name!r}: {datatype} of shape {list(shape)} takes {count * item_size(datatype)} bytes, "
            f"got {len(data)}"
        )
    try:
        if datatype == BYTES:
            return _objects(read_bytes(data, count)).reshape(shape)
        array = read_numbers(datatype, data).reshape(shape)
    except ValueError as error:
        raise ContractError(f"output {name!r}: {error}") from None
    return array if array.flags.aligned else array.copy()


def array_of_values(name: str, datatype: str, shape: tuple[int, ...], values: list[Any]) -> Array:
    """The output ``name`` of values that came as JSON.

    Raises:
        ContractError: they are not such a tensor.
    """
    _count(name, datatype, shape)
    try:
        if datatype == BYTES:
            return _objects([one.encode() for one in values]).reshape(shape)
        return np.array(values, np.dtype(np.float32) if datatype == BF16 else DTYPES[datatype]).reshape(shape)
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise ContractError(f"output {name!r}: {error}") from None


def _tensor(name: str, value: Any) -> Tensor:
    if isinstance(value, np.ma.MaskedArray):
        raise InvalidInput("a masked array would lose its mask; fill it first (`.filled(...)`)", path=name)
    try:
        array = np.asarray(value)
    except UnicodeDecodeError:
        array = np.array(value, object)  # text beside bytes
    except ValueError as error:
        raise InvalidInput(f"not an array: {error}", path=name) from None
    if not array.ndim and not isinstance(value, np.ndarray):
        array = array.reshape(1)
    if array.dtype.kind in "SUO":
        # NumPy's own bytes lose zeros at their end; objects do not.
        objects = array.astype(object) if isinstance(value, np.ndarray) else np.array(value, object)
        elements = [_element(name, one) for one in objects.reshape(-1).tolist()]
        return Tensor(name, BYTES, array.shape, write_bytes(elements))
    if array.dtype.name == "bfloat16":  # of ml_dtypes, which has what NumPy has not
        return Tensor(name, BF16, array.shape, write_numbers(array.view(np.uint16)))
    datatype = datatype_of(array.dtype)
    if not datatype:
        raise InvalidInput(f"the protocol has no datatype for arrays of {array.dtype}", path=name)
    return Tensor(name, datatype, array.shape, write_numbers(array))


def _element(name: str, value: Any) -> bytes:
    if isinstance(value, str):
        return encoded(name, value)
    if isinstance(value, bytes):
        return value
    raise InvalidInput(f"expected numbers, text or bytes, got {type(value).__name__}", path=name)


def _objects(elements: list[bytes]) -> Array:
    array = np.empty(len(elements), object)
    array[:] = elements
    return array


def _count(name: str, datatype: str, shape: tuple[int, ...]) -> int:
    if datatype not in NAMES:
        raise ContractError(f"output {name!r} is of the unknown datatype {datatype!r}")
    if any(extent < 0 for extent in shape):
        raise ContractError(f"output {name!r} has shape {list(shape)}")
    return math.prod(shape)

"""One inference, whatever protocol it came by: tensors that are checked, the method's call, and the tensors it gives."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kapelle.errors import ContractError, InvalidInput
from kapelle.gateway.protocols.models import Model, TensorSpec
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
)
from kapelle.types.arrays import MAX_DIMENSIONS, Array, as_exact
from kapelle.types.tensor import fits

SHARD = "shard"
_WIDENED = ("FP16", BF16)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a shared-memory region a tensor lies: in place of its data."""

    region: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Given:
    """An input as it came. ``content`` is its bytes, or its values as a list; ``path`` says where it stood."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    content: Data | list[Any]
    path: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """An output that was asked for: whether as bytes or values, and where to, if not into the answer."""

    name: str
    binary: bool
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Inference:
    """A request. ``wanted`` is None where all outputs are; then ``binary`` holds for each."""

    id: str
    inputs: list[Given]
    wanted: list[Wanted] | None
    binary: bool = False
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Produced:
    """An output: an array (of float32, where ``datatype`` is BF16), or the elements of BYTES."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    value: Array | list[bytes]


@dataclass(frozen=True, slots=True)
class Inferred:
    """What came of an inference: the outputs in the order in which they are answered, and how."""

    model: str
    inference: Inference
    outputs: list[tuple[Produced, Wanted]]


async def infer(name: str, model: Model, function: Callable[..., Any], inference: Inference) -> Inferred:
    """Check the tensors, call the method, and read its result. ``name`` is what the client calls the model.

    Raises:
        InvalidInput: the tensors are not those of the model; ``path`` says which.
        ContractError: the method gave what it had not declared.
        CallError: the call ended otherwise.
    """
    wanted = _wanted(model, inference)
    arguments = _arguments(model, inference.inputs)
    options: dict[str, Any] = {}
    if model.exposed.service.sharded:
        options[SHARD] = _shard(inference.parameters)
    if model.batched:
        (rows,) = arguments.values()
        result = await function(rows, **options)
    else:
        result = await function(**arguments, **options)
    values = model.fields(result)
    produced = {
        spec.name: _produced(spec, value, model.name) for spec, value in zip(model.outputs, values, strict=True)
    }
    return Inferred(name, inference, [(produced[one.name], one) for one in wanted])


def elements(shape: tuple[int, ...], path: str) -> int:
    """How many elements a tensor of ``shape`` has.

    Raises:
        InvalidInput: it is no shape.
    """
    if len(shape) > MAX_DIMENSIONS:
        raise InvalidInput(f"{len(shape)} dimensions; expected at most {MAX_DIMENSIONS}", path=f"{path}.shape")
    if any(extent < 0 for extent in shape):
        raise InvalidInput(f"expected no negative extent, got {list(shape)}", path=f"{path}.shape")
    return math.prod(shape)


def _wanted(model: Model, inference: Inference) -> list[Wanted]:
    known = [spec.name for spec in model.outputs]
    if inference.wanted is None:
        return [Wanted(name, inference.binary) for name in known]
    for number, one in enumerate(inference.wanted):
        path = f"outputs[{number}].name"
        if one.name not in known:
            raise InvalidInput(f"{model.name} has no output {one.name!r}; it has {', '.join(known)}", path=path)
        if any(other.name == one.name for other in inference.wanted[:number]):
            raise InvalidInput(f"output {one.name!r} is asked for twice", path=path)
    return inference.wanted


def _arguments(model: Model, inputs: list[Given]) -> dict[str, Any]:
    """The method's arguments by the names of its parameters."""
    parameters = model.exposed.method.signature.names
    given: dict[str, Given] = {}
    known = [spec.name for spec in model.inputs]
    for one in inputs:
        if one.name not in known:
            raise InvalidInput(
                f"{model.name} has no input {one.name!r}; it takes {', '.join(known)}", path=f"{one.path}.name"
            )
        if one.name in given:
            raise InvalidInput(f"input {one.name!r} is given twice", path=f"{one.path}.name")
        given[one.name] = one
    arguments = {}
    for spec, parameter in zip(model.inputs, parameters, strict=True):
        if spec.name in given:
            arguments[parameter] = _argument(spec, given[spec.name], model)
        elif spec.required:
            raise InvalidInput(f"input {spec.name!r} of {model.name} is missing", path="inputs")
    return arguments


def _argument(spec: TensorSpec, given: Given, model: Model) -> Any:
    path = given.path
    if given.datatype not in NAMES:
        expected = ", ".join(sorted(NAMES))
        raise InvalidInput(f"unknown datatype {given.datatype!r}; expected one of {expected}", path=f"{path}.datatype")
    _check_datatype(spec, given)
    count = elements(given.shape, path)
    _check_shape(spec, given, count)
    if model.batched and not given.shape[0]:
        raise InvalidInput(f"no rows: the first dimension of {spec.name!r} is 0", path=f"{path}.shape")
    try:
        if given.datatype == BYTES:
            return _texts(spec, given, count)
        array = _numbers(given, count).reshape(given.shape)
        if spec.datatype == "FP32":
            array = array.astype(np.float32, copy=False)
    except ValueError as error:
        raise InvalidInput(str(error), path=f"{path}.data") from None
    if spec.kind == "array":
        return array
    if spec.kind == "row":
        return list(array)
    values = array.reshape(-1).tolist()
    return values[0] if spec.kind == "scalar" else values


def _check_datatype(spec: TensorSpec, given: Given) -> None:
    fitting = given.datatype == spec.datatype or (spec.datatype == "FP32" and given.datatype in _WIDENED)
    if not spec.datatype:
        fitting = given.datatype != BYTES
    if not fitting:
        expected = spec.datatype or "numbers"
        raise InvalidInput(
            f"input {spec.name!r} is {given.datatype}, the model expects {expected}", path=f"{given.path}.datatype"
        )


def _check_shape(spec: TensorSpec, given: Given, count: int) -> None:
    shape = given.shape
    if spec.kind == "scalar":
        fitting = count == 1
    elif spec.kind == "list":
        fitting = len(shape) >= 1 and shape[0] == count  # n, or n x 1
    elif spec.shape is None:
        fitting = spec.kind == "array" or len(shape) >= 1
    else:
        fitting = fits(shape, spec.shape)
    if not fitting:
        raise InvalidInput(
            f"input {spec.name!r} has shape {list(shape)}, the model expects {spec.extents}",
            path=f"{given.path}.shape",
        )


def _numbers(given: Given, count: int) -> Array:
    content = given.content
    if isinstance(content, list):
        values = as_exact(DTYPES["FP32" if given.datatype == BF16 else given.datatype], content)
        if values.ndim > 1 and values.shape != given.shape:
            raise ValueError(f"expected values of shape {list(given.shape)}, got {list(values.shape)}")
        if values.size != count:
            raise ValueError(f"shape {list(given.shape)} has {count} values, got {values.size}")
        return values.reshape(-1)
    size = count * item_size(given.datatype)
    if len(content) != size:
        raise ValueError(f"{given.datatype} of shape {list(given.shape)} takes {size} bytes, got {len(content)}")
    return read_numbers(given.datatype, content)


def _texts(spec: TensorSpec, given: Given, count: int) -> Any:
    if isinstance(given.content, list):
        found = [_element(one) for one in _flat(given.content)]
        if len(found) != count:
            raise ValueError(f"shape {list(given.shape)} has {count} elements, got {len(found)}")
    else:
        found = read_bytes(given.content, count)
    values: list[Any] = found
    if spec.scalar is str:
        try:
            values = [one.decode() for one in found]
        except UnicodeDecodeError:
            raise ValueError("expected text in UTF-8") from None
    return values[0] if spec.kind == "scalar" else values


def _flat(values: list[Any]) -> list[Any]:
    """The values of nested lists."""
    for _ in range(MAX_DIMENSIONS):
        if not any(isinstance(one, list) for one in values):
            return values
        values = [value for one in values for value in (one if isinstance(one, list) else [one])]
    raise ValueError(f"lists within lists, more than {MAX_DIMENSIONS} deep")


def _element(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return value
    raise ValueError(f"expected text, got {type(value).__name__}")


def _shard(parameters: dict[str, Any]) -> int:
    shard = parameters.get(SHARD)
    if not isinstance(shard, int) or isinstance(shard, bool):
        raise InvalidInput("expected the number of a shard, for the service has several", path=f"parameters.{SHARD}")
    return shard


def _produced(spec: TensorSpec, value: Any, model: str) -> Produced:
    try:
        if spec.datatype == BYTES:
            rows = [value] if spec.kind == "scalar" else value
            found = [_element(one) for one in rows]
            return Produced(spec.name, BYTES, (len(found),), found)
        if spec.kind == "scalar":
            value = [value]
        array = np.stack(value) if spec.kind == "row" and not isinstance(value, np.ndarray) else np.asarray(value)
    except (ValueError, TypeError) as error:
        raise ContractError(f"{model}: output {spec.name!r} is no tensor: {error}") from None
    if spec.datatype == BF16:
        return Produced(spec.name, BF16, array.shape, array.astype(np.float32, copy=False))
    datatype = datatype_of(array.dtype)
    if not datatype or (spec.datatype and spec.datatype != datatype):
        array, datatype = _as_declared(spec, array, model)
    return Produced(spec.name, datatype, array.shape, array)


def _as_declared(spec: TensorSpec, array: Array, model: str) -> tuple[Array, str]:
    """An array of another dtype than was declared, or of one that the protocol does not have."""
    if not spec.datatype:
        raise ContractError(
            f"{model}: output {spec.name!r} is of dtype {array.dtype}, which the protocol does not have"
        )
    try:
        return as_exact(DTYPES[spec.datatype], array), spec.datatype
    except ValueError as error:
        raise ContractError(f"{model}: output {spec.name!r} is not {spec.datatype}: {error}") from None

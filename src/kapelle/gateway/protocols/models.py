"""Models: the methods of services that take and give tensors, as the inference protocols see them.

Arrays are tensors; so are texts and bytes (BYTES), numbers and flags, of one element each; rows of a batched method are
the first dimension; a class with named fields, or a tuple, has a tensor for each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from typing import Annotated, Any, get_args, get_origin

import msgspec

from kapelle.declare.parameters import Parameter
from kapelle.gateway.exposure import Exposed
from kapelle.oip.datatypes import BYTES, datatype_of
from kapelle.types.aliases import type_hints
from kapelle.types.arrays import annotated_dtype, is_array_type
from kapelle.types.tensor import Tensor, without_tensor

OUTPUT = "output"
_SCALARS: dict[Any, str] = {str: BYTES, bytes: BYTES, int: "INT64", float: "FP64", bool: "BOOL"}


@dataclass(frozen=True)
class TensorSpec:
    """One input or output. ``datatype`` is empty and ``shape`` None where the method takes any; -1 is any extent.

    ``kind`` is what user code sees: an ``array``, a ``row`` array of a list of them, a ``list`` of plain values, or one
    ``scalar``; ``scalar`` is the Python type of the last two.
    """

    name: str
    datatype: str
    shape: tuple[int, ...] | None
    kind: str
    scalar: type | None = None
    required: bool = True

    @property
    def extents(self) -> list[int]:
        """The shape as clients are told it: what may have any is said to be a row."""
        return [-1] if self.shape is None else list(self.shape)


@dataclass(frozen=True)
class Model:
    """A method with tensors in and out. ``fields`` takes a result apart; ``aliases`` are its other names."""

    exposed: Exposed
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    fields: Callable[[Any], tuple[Any, ...]]
    aliases: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.exposed.name

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)

    @property
    def batched(self) -> bool:
        """Whether the first dimension counts rows, which are run together with those of others."""
        return self.exposed.method.kind == "batched"

    @property
    def max_batch(self) -> int:
        """Rows of one call at most; 0 where rows are nothing special."""
        batch = self.exposed.method.batch
        return batch.max_size if batch is not None else 0


def models_of(exposed: list[Exposed]) -> list[Model]:
    """The methods that are models. The only one of its service is known by the service's name, too."""
    found = []
    for one in exposed:
        inputs, outputs, fields = _inputs(one), *_outputs(one)
        if inputs and outputs and one.method.kind != "stream":
            only = len(one.service.methods) == 1
            aliases = (one.service.name,) if only else ()
            found.append(Model(one, inputs, outputs, fields, aliases))
    return found


def by_name(models: list[Model]) -> dict[str, Model]:
    """All names that models answer to."""
    return {name: model for model in models for name in model.names}


def _inputs(exposed: Exposed) -> tuple[TensorSpec, ...]:
    method = exposed.method
    if method.kind == "batched":
        rows = method.signature.parameters[0]
        found = [_batched(rows.name, rows.annotation, rows.tensor)]
    else:
        found = [_input(one) for one in method.signature.parameters]
    return tuple(one for one in found if one is not None) if all(found) else ()


def _input(parameter: Parameter) -> TensorSpec | None:
    return _tensor(parameter.name, parameter.annotation, parameter.tensor, parameter.required)


def _outputs(exposed: Exposed) -> tuple[tuple[TensorSpec, ...], Callable[[Any], tuple[Any, ...]]]:
    signature = exposed.method.signature
    if exposed.method.kind == "batched":
        rows = _batched(OUTPUT, signature.returns, signature.tensor)
        return ((rows,) if rows is not None else ()), _alone
    parts = _parts(signature.returns)
    if parts is None:
        one = _tensor(OUTPUT, signature.returns, signature.tensor)
        return ((one,) if one is not None else ()), _alone
    names, annotations, fields = parts
    found = [_tensor(name, *without_tensor(annotation)) for name, annotation in zip(names, annotations, strict=True)]
    return (tuple(one for one in found if one is not None) if all(found) else ()), fields


def _parts(returns: Any) -> tuple[list[str], list[Any], Callable[[Any], tuple[Any, ...]]] | None:
    """The names, the types and the values of what a result is made of; None where it is one tensor."""
    if isinstance(returns, type) and (issubclass(returns, msgspec.Struct) or is_dataclass(returns)):
        hints = type_hints(returns)
        names = list(returns.__annotations__) if is_dataclass(returns) else list(returns.__struct_fields__)
        return names, [hints[name] for name in names], lambda value: tuple(getattr(value, name) for name in names)
    if get_origin(returns) is tuple and ... not in get_args(returns):
        members = get_args(returns)
        return [f"{OUTPUT}_{number}" for number in range(len(members))], list(members), tuple
    return None


def _tensor(name: str, annotation: Any, tensor: Tensor | None, required: bool = True) -> TensorSpec | None:
    plain = _plain(annotation)
    if is_array_type(plain):
        shape = None if tensor is None else tensor.sizes
        return _array(_named(name, tensor), plain, shape, "array", tensor, required)
    if plain in _SCALARS:
        return TensorSpec(name, _SCALARS[plain], (1,), "scalar", plain, required)
    if get_origin(plain) is list and (item := _plain(get_args(plain)[0])) in _SCALARS:
        return TensorSpec(name, _SCALARS[item], (-1,), "list", item, required)
    return None


def _batched(name: str, annotation: Any, tensor: Tensor | None) -> TensorSpec | None:
    """The rows of a batched method, of which the first dimension is the number."""
    plain = _plain(annotation)
    if get_origin(plain) is list:
        row, of_row = without_tensor(get_args(plain)[0])
        if is_array_type(_plain(row)):
            shape = None if of_row is None else (-1, *of_row.sizes)
            return _array(_named(name, of_row), _plain(row), shape, "row", of_row, required=True)
    return _tensor(name, plain, tensor)


def _array(
    name: str, annotation: Any, shape: tuple[int, ...] | None, kind: str, tensor: Tensor | None, required: bool
) -> TensorSpec | None:
    dtype = annotated_dtype(annotation)
    datatype = "" if dtype is None else datatype_of(dtype)
    if dtype is not None and not datatype:
        return None
    if tensor is not None and tensor.datatype:
        datatype = tensor.datatype
    return TensorSpec(name, datatype, shape, kind, None, required)


def _named(name: str, tensor: Tensor | None) -> str:
    return name if tensor is None or not tensor.name else tensor.name


def _plain(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _alone(value: Any) -> tuple[Any, ...]:
    return (value,)

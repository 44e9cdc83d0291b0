"""How types that msgspec does not know (arrays, NumPy scalars, pydantic models) become plain data and come back.

pydantic is recognised by the shape of its classes, never imported: who does not use it does not pay for it.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
import numpy as np

from kapelle.types.arrays import ABSTRACT, as_array, is_array_type
from kapelle.types.octets import StandIn, as_octets


def is_pydantic(annotation: Any) -> bool:
    """Whether ``annotation`` is a pydantic (v2) model class."""
    return isinstance(annotation, type) and hasattr(annotation, "__pydantic_validator__")


def unsupported(annotation: Any) -> str:
    """Why values of this type cannot travel; empty when they can."""
    try:
        msgspec.msgpack.Decoder(annotation)
    except TypeError as error:
        return str(error)
    except RecursionError:
        return "a type that names itself cannot be read; declare a class for what it holds"
    strange = _strange(annotation)
    return "" if strange is None else f"values of type {strange!r} cannot travel"


def _strange(annotation: Any) -> Any:
    """The first type within ``annotation`` that neither msgspec nor ``from_plain`` knows; None when there is none."""
    if get_origin(annotation) is Annotated:
        return _strange(get_args(annotation)[0])
    if is_array_type(annotation) or is_pydantic(annotation) or _is_scalar(annotation):
        return None
    if isinstance(msgspec.inspect.type_info(annotation), msgspec.inspect.CustomType):
        return annotation
    if get_origin(annotation) is Literal:
        return None
    parts = get_args(annotation)
    return next((strange for part in parts if part is not ... and (strange := _strange(part)) is not None), None)


def holds_raw(annotation: Any) -> bool:
    """Whether values of this type have parts that are encoded already (``msgspec.Raw``)."""
    return _holds_raw(msgspec.inspect.type_info(annotation), set())


def _holds_raw(part: Any, seen: set[Any]) -> bool:
    if isinstance(part, tuple):
        return any(_holds_raw(one, seen) for one in part)
    if not isinstance(part, msgspec.inspect.Type | msgspec.inspect.Field):
        return False
    kind = getattr(part, "cls", None)
    if kind is not None and kind in seen:  # classes may have fields of their own kind
        return False
    seen.add(kind)
    inner = (getattr(part, name) for name in part.__struct_fields__ if not name.startswith("default"))
    return isinstance(part, msgspec.inspect.RawType) or any(_holds_raw(one, seen) for one in inner)


def _is_scalar(annotation: Any) -> bool:
    """Whether ``annotation`` is a NumPy number or flag of a fixed size that Python's own numbers can hold."""
    if not isinstance(annotation, type) or not issubclass(annotation, np.generic) or annotation in ABSTRACT:
        return False
    dtype = np.dtype(annotation)
    return dtype.kind in "biuf" and dtype.itemsize <= 8


def to_plain(value: Any) -> Any:
    """msgspec's ``enc_hook`` for JSON.

    Raises:
        NotImplementedError: for a type nobody knows (msgspec's protocol for "not mine").
    """
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        plain = value.item()
        # What Python has no number for stays as it is; times of some units become a number without its unit.
        if isinstance(plain, np.generic) or (isinstance(plain, int) and value.dtype.kind in "mM"):
            raise NotImplementedError(f"values of type {value.dtype} cannot travel")
        return plain
    if is_pydantic(type(value)):
        return value.model_dump(mode="json", by_alias=True)
    raise NotImplementedError(f"values of type {type(value).__qualname__} cannot travel")


def from_plain(annotation: Any, value: Any) -> Any:
    """msgspec's ``dec_hook``: the plain ``value`` as ``annotation``; raises ``ValueError`` with what was expected."""
    if is_array_type(annotation):
        return as_array(annotation, value)
    if _is_scalar(annotation):
        return _scalar(annotation, value)
    if is_pydantic(annotation):
        return _validated(annotation, value)
    raise NotImplementedError(f"parameters of type {annotation!r} are not supported")


def to_wire(value: Any) -> Any:
    """``to_plain`` for another process, which reads it by ``from_wire``: models have what they were made of, by its name."""
    if is_pydantic(type(value)):
        return value.model_dump(mode="json", round_trip=True)
    return to_plain(value)


def from_wire(annotation: Any, value: Any) -> Any:
    """``from_plain`` for what was written by ``to_wire``."""
    if is_array_type(annotation):  # first, as most of what comes here are arrays
        return as_array(annotation, value)
    if type(annotation) is StandIn:
        return as_octets(annotation, value)
    if is_pydantic(annotation):
        # It has been a model, of which strictness has seen the values, and not the texts of their dates.
        return _validated(annotation, value, by_name=True, by_alias=True, strict=False)
    return from_plain(annotation, value)


def from_text(annotation: Any, value: Any) -> Any:
    """``from_plain`` for what was written as text, as in a URL: ``"3"`` is a number where one is expected."""
    if isinstance(value, str) and _is_scalar(annotation):
        try:
            value = msgspec.convert(value, _python_type(annotation), strict=False)
        except msgspec.ValidationError:
            raise ValueError(f"expected {_described(annotation)}, got {value!r}") from None
    return from_plain(annotation, value)


def _scalar(kind: type[np.generic], value: Any) -> Any:
    if isinstance(value, np.ndarray) and not value.ndim:
        value = value.item()
    python = _python_type(kind)
    # To Python, a flag is an integer; an integer is as good as the float of its value.
    fits = type(value) is python or (python is float and type(value) is int)
    if not fits:
        raise ValueError(f"expected {_described(kind)}, got {type(value).__name__}")
    if python is int and not _limits(kind)[0] <= value <= _limits(kind)[1]:
        raise ValueError(f"expected {_described(kind)}, got {value}")
    with np.errstate(over="ignore"):
        number: Any = np.dtype(kind).type(value)
    if python is float and math.isfinite(value) and not np.isfinite(number):
        raise ValueError(f"expected {_described(kind)}, got {value:g}")
    return number


def _python_type(kind: type[np.generic]) -> type[bool | int | float]:
    if issubclass(kind, np.bool_):
        return bool
    return int if issubclass(kind, np.integer) else float


def _limits(kind: Any) -> tuple[int, int]:
    whole = np.iinfo(kind)
    return int(whole.min), int(whole.max)


def _described(kind: type[np.generic]) -> str:
    if issubclass(kind, np.bool_):
        return "true or false"
    if issubclass(kind, np.integer):
        low, high = _limits(kind)
        return f"a whole number from {low} to {high}"
    return f"a number that {kind.__name__} can hold"


def _validated(model: Any, value: Any, **options: bool) -> Any:
    try:
        return model.model_validate(value, **options)
    except ValueError as error:
        details = getattr(error, "errors", None)
        if details is None:
            raise
        first = details()[0]
        path = "$" + "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in first["loc"])
        # In msgspec's own form; it adds where the model itself stands.
        raise ValueError(f"{first['msg']} - at `{path}`") from None

"""How types that msgspec does not know (arrays, NumPy scalars, pydantic models) become plain data and come back.

pydantic is recognised by the shape of its classes, never imported: who does not use it does not pay for it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
import numpy as np

from kapelle.errors import ContractError
from kapelle.types.arrays import as_array, is_array_type


def is_pydantic(annotation: Any) -> bool:
    """Whether ``annotation`` is a pydantic (v2) model class."""
    return isinstance(annotation, type) and hasattr(annotation, "__pydantic_validator__")


def unsupported(annotation: Any) -> str:
    """Why values of this type cannot travel; empty when they can."""
    try:
        msgspec.msgpack.Decoder(annotation)
    except TypeError as error:
        return str(error)
    strange = _strange(annotation)
    return "" if strange is None else f"values of type {strange!r} cannot travel"


def _strange(annotation: Any) -> Any:
    """The first type within ``annotation`` that neither msgspec nor ``from_plain`` knows; None when there is none."""
    if is_array_type(annotation) or is_pydantic(annotation) or _is_scalar(annotation):
        return None
    if isinstance(msgspec.inspect.type_info(annotation), msgspec.inspect.CustomType):
        return annotation
    if get_origin(annotation) is Literal:
        return None
    parts = get_args(annotation)[:1] if get_origin(annotation) is Annotated else get_args(annotation)
    return next((strange for part in parts if part is not ... and (strange := _strange(part)) is not None), None)


def _is_scalar(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, np.generic)


def to_plain(value: Any) -> Any:
    """msgspec's ``enc_hook`` for JSON.

    Raises:
        ContractError: for NaN and infinity in an array or a NumPy scalar, which JSON cannot carry.
        NotImplementedError: for a type nobody knows (msgspec's protocol for "not mine").
    """
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind in "fc" and not np.isfinite(value).all():
            raise ContractError("the result holds NaN or infinity, which JSON cannot carry")
        return value.tolist()
    if is_pydantic(type(value)):
        return value.model_dump(mode="json")
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


def _scalar(kind: type[np.generic], value: Any) -> Any:
    if isinstance(value, list) or np.ndim(value):
        raise ValueError(f"expected one {kind.__name__}, got {type(value).__name__}")
    return as_array(np.ndarray[Any, np.dtype[kind]], value)[()]  # type: ignore[valid-type]  # known at run time only


def _validated(model: Any, value: Any) -> Any:
    try:
        return model.model_validate(value)
    except ValueError as error:
        details = getattr(error, "errors", None)
        if details is None:
            raise
        first = details()[0]
        path = "$" + "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in first["loc"])
        # In msgspec's own form; it adds where the model itself stands.
        raise ValueError(f"{first['msg']} - at `{path}`") from None

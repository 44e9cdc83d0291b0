"""How types that msgspec does not know (arrays, NumPy scalars, pydantic models) become plain data and come back.

pydantic is recognised by the shape of its classes, never imported: who does not use it does not pay for it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kapelle.errors import ContractError, InvalidInput
from kapelle.types.arrays import as_array, is_array_type


def is_pydantic(annotation: Any) -> bool:
    """Whether ``annotation`` is a pydantic (v2) model class."""
    return isinstance(annotation, type) and hasattr(annotation, "__pydantic_validator__")


def to_plain(value: Any) -> Any:
    """msgspec's ``enc_hook`` for JSON.

    Raises:
        ContractError: for NaN and infinity in an array, which JSON cannot carry.
        NotImplementedError: for a type nobody knows (msgspec's protocol for "not mine").
    """
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "fc" and not np.isfinite(value).all():
            raise ContractError("the result holds NaN or infinity, which JSON cannot carry")
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if is_pydantic(type(value)):
        return value.model_dump(mode="json")
    raise NotImplementedError(f"values of type {type(value).__qualname__} cannot travel")


def from_plain(annotation: Any, value: Any) -> Any:
    """msgspec's ``dec_hook``: the plain ``value`` as ``annotation``; raises ``ValueError`` with what was expected."""
    if is_array_type(annotation):
        return as_array(annotation, value)
    if isinstance(annotation, type) and issubclass(annotation, np.generic):
        return as_array(np.ndarray, value).astype(annotation)[()]
    if is_pydantic(annotation):
        return _validated(annotation, value)
    raise NotImplementedError(f"parameters of type {annotation!r} are not supported")


def _validated(model: Any, value: Any) -> Any:
    if isinstance(value, model):
        return value
    try:
        return model.model_validate(value)
    except ValueError as error:
        details = getattr(error, "errors", None)
        if details is None:
            raise
        first = details()[0]
        path = "$" + "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in first["loc"])
        raise InvalidInput(f"{first['msg']} - at `{path}`", path=path) from None

"""Annotations without aliases: what ``type Vector = NDArray[np.float32]`` names, in the place of the name.

``NDArray`` is such an alias itself from NumPy 2.5 on.
"""

from __future__ import annotations

from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints


def type_hints(thing: Any) -> dict[str, Any]:
    """The annotations of a function or class: resolved, with their extras, and without aliases.

    Raises:
        NameError, AttributeError, SyntaxError, TypeError: one of them cannot be resolved.
    """
    return {name: expanded(hint) for name, hint in get_type_hints(thing, include_extras=True).items()}


def expanded(annotation: Any, within: frozenset[Any] = frozenset()) -> Any:
    """``annotation`` with the values of aliases in their places; an alias ``within`` its own value stays."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return annotation
    if origin is Annotated:
        return Annotated[expanded(arguments[0], within), *arguments[1:]]
    parts = tuple(expanded(one, within) for one in arguments)
    alias = annotation if _is_alias(annotation) else origin if _is_alias(origin) else None
    if alias is not None:
        return annotation if alias in within else expanded(_value(alias, parts), within | {alias})
    if parts == arguments:
        return annotation
    return Union[parts] if origin is UnionType else origin[parts]  # noqa: UP007 - of what is known at run time only


def _is_alias(annotation: Any) -> bool:
    # `typing` has the class from Python 3.12 on, and `typing_extensions` one for those before it.
    return type(annotation).__name__ == "TypeAliasType"


def _value(alias: Any, arguments: tuple[Any, ...]) -> Any:
    """What an alias stands for, with ``arguments`` for its parameters."""
    value = alias.__value__
    given = dict(zip(alias.__type_params__, arguments, strict=False))
    if isinstance(value, TypeVar):
        return given.get(value, value)
    wanted = getattr(value, "__parameters__", ())
    return value[tuple(given.get(one, one) for one in wanted)] if given and wanted else value

"""Signatures as data: the parameters of methods and endpoints, with their types resolved and checked at declaration."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial, wraps
from types import GenericAlias
from typing import Annotated, Any, TypeVar, get_args, get_origin

import msgspec

from kapelle.errors import DeclarationError
from kapelle.types.aliases import type_hints
from kapelle.types.arrays import is_array_type
from kapelle.types.hooks import holds_raw, unsupported
from kapelle.types.tensor import Tensor, without_tensor

T = TypeVar("T")


class QueryMarker:
    """Marks a parameter as one of the query string; write ``kapelle.Query[int]``."""


Query = Annotated[T, QueryMarker()]
"""``Query[int]``: this parameter, an ``int`` to all others, comes from the query string, also where there is a body."""


class Upload(msgspec.Struct, frozen=True):
    """A file of a ``multipart/form-data`` body, whole in memory (the gateway's body limit bounds it)."""

    filename: str
    content_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: ``annotation`` without its markers; ``default`` is ``inspect.Parameter.empty`` when required.

    ``tensor`` is the shape it was declared with.
    """

    name: str
    annotation: Any
    default: Any = inspect.Parameter.empty
    from_query: bool = False
    keyword_only: bool = False
    tensor: Tensor | None = None

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters after ``self``, and what is returned; ``tensor`` is the shape that was declared for that."""

    parameters: tuple[Parameter, ...]
    returns: Any
    tensor: Tensor | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(parameter.name for parameter in self.parameters)

    @property
    def arguments(self) -> Any:
        """The type of all arguments in their order: a ``tuple[...]``."""
        return GenericAlias(tuple, tuple(parameter.annotation for parameter in self.parameters))

    @property
    def item(self) -> Any:
        """The type of one item of what a streaming method returns."""
        return next(iter(get_args(self.returns)), Any)


def signature_of(function: Callable[..., Any]) -> Signature:
    """The signature of a method as declared in a class.

    Raises:
        DeclarationError: an annotation is missing, cannot be resolved or is of a type whose values cannot travel, or
            there are ``*args`` or ``**kwargs``.
    """
    name = function.__qualname__
    try:
        hints = type_hints(function)
    except (NameError, AttributeError, SyntaxError, TypeError) as error:
        raise DeclarationError(
            f"{name}: {error}; annotations are read when the class is declared, so import the type at module level"
        ) from None
    first, *rest = inspect.signature(function).parameters.values() or [None]
    if first is None:
        raise DeclarationError(f"{name} must be a method of a class, with self as its first parameter")
    parameters = tuple(_parameter(name, parameter, hints) for parameter in rest if parameter is not None)
    returns, tensor = without_tensor(hints.get("return", Any))
    _check_tensor(f"{name}: its result", returns, tensor)
    return Signature(parameters, returns, tensor)


def refuse_positional_only(function: Callable[..., Any]) -> None:
    """Refuse parameters that cannot be given by name.

    Raises:
        DeclarationError: ``function`` has one.
    """
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise DeclarationError(
                f"{function.__qualname__}: parameter {parameter.name!r} is positional-only; arguments of an endpoint "
                "are given by name, so declare it without `/`"
            )


def by_position(function: Callable[..., Any], signature: Signature) -> Callable[..., Any]:
    """``function``, with its keyword-only parameters given by position as well: arguments travel in their order."""
    by_name = [one.name for one in signature.parameters if one.keyword_only]
    if not by_name:
        return function
    border = 1 + len(signature.parameters) - len(by_name)

    @wraps(function)
    def ordered(*args: Any, **kwargs: Any) -> Any:
        return function(*args[:border], **dict(zip(by_name, args[border:], strict=False)), **kwargs)

    return ordered


def _parameter(function: str, parameter: inspect.Parameter, hints: dict[str, Any]) -> Parameter:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise DeclarationError(f"{function} has {parameter}; expected parameters with names, which can travel")
    if parameter.name not in hints:
        raise DeclarationError(
            f"{function}: parameter {parameter.name!r} has no annotation; input is checked against it"
        )
    annotation, tensor = without_tensor(hints[parameter.name])
    from_query = False
    if get_origin(annotation) is Annotated:
        plain, *markers = get_args(annotation)
        others = [marker for marker in markers if not isinstance(marker, QueryMarker)]
        if len(others) < len(markers):
            from_query = True
            annotation = Annotated[plain, *others] if others else plain
    place = f"{function}: parameter {parameter.name!r}"
    check_type(place, annotation)
    _check_tensor(place, annotation, tensor)
    by_name = parameter.kind is parameter.KEYWORD_ONLY
    return Parameter(parameter.name, annotation, parameter.default, from_query, by_name, tensor)


def _check_tensor(place: str, annotation: Any, tensor: Tensor | None) -> None:
    if tensor is not None and not is_array_type(annotation):
        raise DeclarationError(f"{place} has {tensor} but is {annotation!r}; expected an array")


def check_type(place: str, annotation: Any) -> None:
    """Refuse what cannot be decoded, now and not at the first call.

    Raises:
        DeclarationError: values of type ``annotation`` cannot travel.
    """
    reason = unsupported(annotation)
    if reason:
        raise DeclarationError(f"{place}: {reason}")


def refuse_raw(function: Callable[..., Any], parameters: tuple[Parameter, ...], returns: Any) -> None:
    """Refuse what is encoded already: as JSON, where it comes from a client, and services are not called in JSON.

    Raises:
        DeclarationError: a value that ``function`` takes or gives may hold such a part.
    """
    places = [(f"parameter {one.name!r}", one.annotation) for one in parameters]
    for place, annotation in [*places, ("its result", returns)]:
        if holds_raw(annotation):
            raise DeclarationError(
                f"{function.__qualname__}: {place} holds msgspec.Raw, which is in one encoding and travels in another; "
                "expected Any, or bytes that the method reads itself"
            )


def record_type(name: str, parameters: Sequence[Parameter], **options: Any) -> type[msgspec.Struct]:
    """A msgspec Struct with one field per parameter, by which arguments are decoded and checked."""
    fields: list[Any] = []
    for parameter in parameters:
        if parameter.required:
            fields.append((parameter.name, parameter.annotation))
        else:
            fields.append((parameter.name, parameter.annotation, _field_default(parameter.default)))
    return msgspec.defstruct(name, fields, kw_only=True, **options)


def _field_default(default: Any) -> Any:
    if default is None or isinstance(default, str | bytes | int | float | Enum):
        return default
    # What may be changed is copied for each call.
    return msgspec.field(default_factory=partial(copy.deepcopy, default))

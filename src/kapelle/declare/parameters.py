"""Signatures as data: the parameters of methods and endpoints, with their types resolved and checked at declaration."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from kapelle.errors import DeclarationError


class QueryMarker:
    """Marks a parameter as one of the query string; write ``kapelle.Query[int]``."""


class Query:
    """``Query[int]``: this parameter comes from the query string, also where there is a body."""

    def __class_getitem__(cls, item: Any) -> Any:
        return Annotated[item, QueryMarker()]


class Upload(msgspec.Struct, frozen=True):
    """A file of a ``multipart/form-data`` body, whole in memory (the gateway's body limit bounds it)."""

    filename: str
    content_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: ``annotation`` without its markers; ``default`` is ``inspect.Parameter.empty`` when required."""

    name: str
    annotation: Any
    default: Any = inspect.Parameter.empty
    from_query: bool = False

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters after ``self``, and what is returned."""

    parameters: tuple[Parameter, ...]
    returns: Any

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(parameter.name for parameter in self.parameters)


def signature_of(function: Callable[..., Any]) -> Signature:
    """The signature of a method as declared in a class.

    Raises:
        DeclarationError: an annotation is missing or cannot be resolved, or the parameters are of a kind that cannot
            travel (``*args``, ``**kwargs``).
    """
    name = function.__qualname__
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        raise DeclarationError(
            f"{name}: {error}; annotations are read when the class is declared, so import the type at module level"
        ) from None
    first, *rest = inspect.signature(function).parameters.values() or [None]
    if first is None:
        raise DeclarationError(f"{name} must be a method of a class, with self as its first parameter")
    parameters = tuple(_parameter(name, parameter, hints) for parameter in rest if parameter is not None)
    return Signature(parameters, hints.get("return", Any))


def _parameter(function: str, parameter: inspect.Parameter, hints: dict[str, Any]) -> Parameter:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise DeclarationError(f"{function} has *{parameter.name}; expected parameters with names, which can travel")
    if parameter.name not in hints:
        raise DeclarationError(
            f"{function}: parameter {parameter.name!r} has no annotation; input is checked against it"
        )
    annotation = hints[parameter.name]
    from_query = False
    if get_origin(annotation) is Annotated:
        plain, *markers = get_args(annotation)
        if any(isinstance(marker, QueryMarker) for marker in markers):
            from_query = True
            annotation = plain
    return Parameter(parameter.name, annotation, parameter.default, from_query)


def record_type(name: str, parameters: tuple[Parameter, ...], **options: Any) -> type[msgspec.Struct]:
    """A msgspec Struct with one field per parameter, by which arguments are decoded and checked."""
    fields: list[Any] = []
    for parameter in parameters:
        if parameter.required:
            fields.append((parameter.name, parameter.annotation))
        else:
            default = parameter.default
            mutable = isinstance(default, list | dict | set)
            value = msgspec.field(default_factory=lambda default=default: default.copy()) if mutable else default
            fields.append((parameter.name, parameter.annotation, value))
    return msgspec.defstruct(name, fields, **options)

"""Golden queries: questions with known answers, which a release answers before it gets traffic."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from kapelle.declare.options import time_limit
from kapelle.errors import DeclarationError

F = TypeVar("F", bound=Callable[[Any], Coroutine[Any, Any, None]])

_ATTRIBUTE = "__kapelle_golden__"
_TIMEOUT = "30s"


@dataclass(frozen=True, slots=True)
class GoldenSpec:
    """One golden query of the app. ``timeout`` (seconds) bounds all it does."""

    name: str
    timeout: float


@overload
def golden(function: F, /) -> F: ...
@overload
def golden(*, timeout: str | float = _TIMEOUT) -> Callable[[F], F]: ...
def golden(function: Callable[..., Any] | None = None, /, *, timeout: str | float = _TIMEOUT) -> Any:
    """Ask this of every release before it gets traffic: a method of the app, ``async def`` and without parameters.

    It calls endpoints and services like any other code of the app, and checks what they answer, with ``assert`` for
    example. When it raises anything, the release is not put into service.

    Args:
        timeout: how long it may take, as in "5s"; longer is a failure too.

    Raises:
        DeclarationError: the method is not ``async def``, takes parameters, or ``timeout`` is no duration above 0.
    """

    def mark(function: F) -> F:
        name = getattr(function, "__qualname__", repr(function))
        if not inspect.iscoroutinefunction(function):
            raise DeclarationError(f"golden query {name} must be `async def`: it awaits what it asks")
        taken = ", ".join(inspect.signature(function).parameters)
        if len(inspect.signature(function).parameters) != 1:
            raise DeclarationError(f"golden query {name} takes ({taken}); expected (self) alone: nobody passes it more")
        try:
            limit = time_limit(timeout)
        except DeclarationError as error:
            raise DeclarationError(f"golden query {name}: {error.detail}") from None
        setattr(function, _ATTRIBUTE, GoldenSpec(function.__name__, limit))
        return function

    return mark if function is None else mark(function)


def golden_of(cls: type) -> tuple[GoldenSpec, ...]:
    """The golden queries a class declares, inherited ones included, in the order of their names."""
    found = (getattr(inspect.getattr_static(cls, name, None), _ATTRIBUTE, None) for name in dir(cls))
    return tuple(one for one in found if isinstance(one, GoldenSpec))

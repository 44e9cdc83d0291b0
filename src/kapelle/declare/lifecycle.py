"""Hooks that run when an instance of a service or app starts and stops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, overload

F = TypeVar("F", bound=Callable[..., Any])

_ATTRIBUTE = "__kapelle_hook__"


@dataclass(frozen=True, slots=True)
class HookSpec:
    """``background`` hooks are started and not waited for; they are cancelled at the stop."""

    name: str
    when: Literal["startup", "shutdown"]
    background: bool


@overload
def on_startup(function: F, /) -> F: ...
@overload
def on_startup(*, background: bool = False) -> Callable[[F], F]: ...
def on_startup(function: Callable[..., Any] | None = None, /, *, background: bool = False) -> Any:
    """Run this method (``def`` or ``async def``) after the constructor, before the instance gets traffic.

    With ``background=True`` it runs beside the traffic, for as long as it likes, and is cancelled at the stop.
    """

    def mark(function: F) -> F:
        setattr(function, _ATTRIBUTE, HookSpec(function.__name__, "startup", background))
        return function

    return mark if function is None else mark(function)


@overload
def on_shutdown(function: F, /) -> F: ...
@overload
def on_shutdown() -> Callable[[F], F]: ...
def on_shutdown(function: Callable[..., Any] | None = None, /) -> Any:
    """Run this method (``def`` or ``async def``) after the last call of the instance was answered."""

    def mark(function: F) -> F:
        setattr(function, _ATTRIBUTE, HookSpec(function.__name__, "shutdown", background=False))
        return function

    return mark if function is None else mark(function)


def hooks_of(cls: type) -> tuple[HookSpec, ...]:
    """The hooks a class declares, inherited ones included, in the order of their names."""
    found = (getattr(getattr(cls, name, None), _ATTRIBUTE, None) for name in dir(cls))
    return tuple(hook for hook in found if isinstance(hook, HookSpec))

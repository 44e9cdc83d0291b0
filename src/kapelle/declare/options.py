"""The options of decorators are of the types that they are declared with: most notebooks are checked by nobody else."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar, get_type_hints

import msgspec

from kapelle.clock import seconds
from kapelle.errors import ConfigError, DeclarationError

P = ParamSpec("P")
R = TypeVar("R")


def checked(decorator: Callable[P, R]) -> Callable[P, R]:
    """Have a decorator refuse options that are not of its annotated types, or not named.

    Raises:
        DeclarationError: one is not; the message names it. Or there are no parentheses where they are needed.
    """
    signature = inspect.signature(decorator)
    named = f"@{decorator.__name__}"
    only = inspect.Parameter.POSITIONAL_ONLY  # what is decorated is looked at by the decorator
    decorated = next((name for name, one in signature.parameters.items() if one.kind is only), "")

    @cache
    def types() -> dict[str, Any]:
        hints = get_type_hints(decorator)
        return {name: hints[name] for name in signature.parameters if name != decorated}

    @wraps(decorator)
    def call(*arguments: P.args, **options: P.kwargs) -> R:
        try:
            given = signature.bind(*arguments, **options).arguments
        except TypeError as error:
            if not decorated and arguments and callable(arguments[0]):
                raise DeclarationError(f"{named} needs parentheses, also without options: write {named}()") from None
            raise TypeError(f"{named}: {error}; it takes {', '.join(types())}") from None
        if not callable(value := given.get(decorated, decorator)):
            raise DeclarationError(f"{named}({value!r:.100}): expected options by their names: {', '.join(types())}")
        for name, kind in types().items():
            if name in given:
                _check(name, given[name], kind)
        return decorator(*arguments, **options)

    return call


def duration(name: str, value: str | float) -> float:
    """An option that is a length of time, in seconds.

    Raises:
        DeclarationError: it is none; the message names the option.
    """
    try:
        return seconds(value)
    except ConfigError as error:
        raise DeclarationError(f"{name}={value!r:.100}: {error.detail}") from None


def time_limit(value: str | float) -> float:
    """The option ``timeout``, in seconds.

    Raises:
        DeclarationError: it is no length of time, or none in which anything could be done.
    """
    limit = duration("timeout", value)
    if not limit:
        raise DeclarationError(f"timeout={value!r}: expected more than 0 seconds, as in '5s'")
    return limit


def _check(name: str, value: Any, kind: Any) -> None:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        said = str(error).replace("`", "").replace(" | null", " or None").replace("Expected", "expected", 1)
        raise DeclarationError(f"{name}={value!r:.100}: {said}") from None

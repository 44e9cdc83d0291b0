"""Arguments and options that several commands have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from cyclopts import Parameter, Token

from kapelle.clock import seconds
from kapelle.errors import ConfigError


def _whole(_expected: type[int], tokens: Sequence[Token]) -> int:
    """A whole number, where the parser by itself would round."""
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"expected a whole number, not {tokens[0].value!r}.") from None


Whole = Annotated[int, Parameter(converter=_whole)]
Target = Annotated[
    str,
    Parameter(help="The app: a folder with an app.py, a file, or a module; add :Class where it declares several."),
]
OptionalTarget = Annotated[str | None, Parameter(help="The app; if not given, the one that runs from this folder.")]
RunDirectory = Annotated[
    str | None, Parameter(help="Folder of sockets and records of what runs (.kapelle/APP below this folder).")
]
Store = Annotated[
    str | None,
    Parameter(help="Where releases are kept: a folder, or s3://bucket/prefix (.kapelle/store/APP below this folder)."),
]
AppOption = Annotated[str, Parameter(name=["--target", "-t"], help="The app, as for `kapelle serve`.")]
Json = Annotated[bool, Parameter(negative="", show_default=False, help="Print JSON instead of a table.")]
Variant = Annotated[
    Literal["cpu", "cuda"], Parameter(help="What services with gpus compute on: the processor, or NVIDIA's GPUs.")
]


def in_seconds(option: str, text: str) -> float:
    """What an option says, in seconds; a bare number is one of seconds.

    Raises:
        ConfigError: it says no duration.
    """
    try:
        return seconds(text if text[-1:].isalpha() else f"{text}s")
    except ConfigError:
        raise ConfigError(
            f"{option} {text}: expected a number of seconds, or one with a unit of us, ms, s, m, h, as in 250ms"
        ) from None

"""YAML with comments: what engines read, and people read and edit.

Plain data is written in block form and in its own order. ``Note`` puts a comment above a key or an item, which no YAML
library of ours keeps; that is why this is written here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_PLAIN = re.compile(r"<<|[0-9]+[smhKMG]|[A-Za-z/.$_-][A-Za-z0-9 /._@$*+=()~-]*(?::[A-Za-z0-9/._@$*+=()~-]+)*")
# What some reader of YAML takes for something else than text.
_OTHERS = re.compile(
    r"(?i)(y|n|yes|no|on|off|true|false|null|~|-|\.|[-+.]?[0-9.][0-9_.e+-]*|[-+]?\.(inf|nan)|.*\s|-+ .*|-{3}.*)"
)


@dataclass(frozen=True, slots=True)
class Note:
    """A value with a comment above it, a line or several."""

    comment: str
    value: Any


@dataclass(frozen=True, slots=True)
class Anchor:
    """A value with a name, under which it is meant again elsewhere in the document."""

    name: str
    value: Any


@dataclass(frozen=True, slots=True)
class Alias:
    """The value of an anchor, once more; as that of the key ``<<`` all of its entries."""

    name: str


@dataclass(frozen=True, slots=True)
class Variable:
    """The name of a variable that an engine fills in when it reads the document."""

    name: str


@dataclass(frozen=True, slots=True)
class Mode:
    """Permissions of a file, written as in ``0400``."""

    bits: int


def document(comment: str, value: Mapping[str, Any]) -> str:
    """A document with a comment at its head."""
    return "\n".join([*_comment(comment, 0), "", *_mapping(value, 0)]) + "\n"


def literal(value: Any) -> Any:
    """A document's content for engines that fill in variables: each ``$`` doubled, but for those of a ``Variable``."""
    match value:
        case str():
            return value.replace("$", "$$")
        case Mapping():
            return {key: literal(held) for key, held in value.items()}
        case list() | tuple():
            return [literal(held) for held in value]
        case Note(comment, held):
            return Note(comment, literal(held))
        case Anchor(name, held):
            return Anchor(name, literal(held))
        case _:
            return value


def _mapping(value: Mapping[str, Any], depth: int) -> Iterator[str]:
    for key, held in value.items():
        comment, inner = _opened(held)
        yield from _comment(comment, depth)
        yield from _entry(f"{'  ' * depth}{_scalar(key)}:", inner, depth)


def _sequence(items: Sequence[Any], depth: int) -> Iterator[str]:
    for held in items:
        comment, inner = _opened(held)
        yield from _comment(comment, depth)
        if isinstance(inner, Mapping) and inner:
            # The first key stands beside the dash, the others below it.
            for number, line in enumerate(_mapping(inner, depth + 1)):
                yield f"{'  ' * depth}- {line.lstrip()}" if not number else line
        else:
            yield from _entry(f"{'  ' * depth}-", inner, depth)


def _entry(start: str, value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, Anchor):
        yield from _entry(f"{start} &{value.name}", value.value, depth)
    elif isinstance(value, Mapping) and value:
        yield start
        yield from _mapping(value, depth + 1)
    elif isinstance(value, list | tuple) and value:
        if all(isinstance(one, str | int) for one in value) and sum(map(len, map(str, value))) < 80:
            yield f"{start} [{', '.join(_in_flow(one) for one in value)}]"
        else:
            yield start
            yield from _sequence(value, depth + 1)
    elif isinstance(value, str) and value.count("\n") > 1:
        yield f"{start} |"
        yield from (f"{'  ' * (depth + 1)}{line}".rstrip() for line in value.rstrip("\n").split("\n"))
    else:
        yield f"{start} {_scalar(value)}"


def _opened(held: Any) -> tuple[str, Any]:
    return (held.comment, held.value) if isinstance(held, Note) else ("", held)


def _comment(comment: str, depth: int) -> Iterator[str]:
    yield from (f"{'  ' * depth}# {line}".rstrip() for line in comment.splitlines())


def _in_flow(value: Any) -> str:
    text = _scalar(value)
    return (
        json.dumps(value) if isinstance(value, str) and not text.startswith('"') and set(value) & set(",[]{}") else text
    )


def _scalar(value: Any) -> str:
    match value:
        case Alias(name):
            text = f"*{name}"
        case Variable(name):
            text = f"${{{name}}}"
        case Mode(bits):
            text = f"0{bits:o}"
        case Mapping():
            text = "{}"
        case list() | tuple():
            text = "[]"
        case str() if _PLAIN.fullmatch(value) and not _OTHERS.fullmatch(value):
            text = value
        case None | bool() | int() | float() | str():
            text = json.dumps(value, ensure_ascii=False)
        case _:
            raise TypeError(f"{value!r} has no form in YAML here")
    return text

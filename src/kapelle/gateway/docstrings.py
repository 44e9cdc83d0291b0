"""What a docstring says of an endpoint: in one line, at length, and of each parameter."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field

_HEADING = re.compile(r"(Args|Arguments|Parameters|Returns|Yields):")
_ITEM = re.compile(r"\*{0,2}(\w+)(?: *\([^)]*\))?: *(.*)")


@dataclass(frozen=True, slots=True)
class Docstring:
    """``summary`` is the first paragraph, on one line; ``parameters`` are the notes below "Args:", by name."""

    summary: str = ""
    description: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    returns: str = ""


def parse(text: str) -> Docstring:
    """Take a docstring apart. Sections other than those of parameters and results stay in the description."""
    prose: list[str] = []
    parameters: dict[str, str] = {}
    returns = ""
    lines = inspect.cleandoc(text).splitlines()
    while lines:
        line = lines.pop(0)
        heading = _HEADING.fullmatch(line.rstrip())
        if heading is None:
            prose.append(line)
            continue
        block: list[str] = []
        while lines and (not lines[0].strip() or lines[0][0].isspace()):
            block.append(lines.pop(0))
        section = inspect.cleandoc("\n" + "\n".join(block))
        if heading[1] in ("Returns", "Yields"):
            returns = _one_line(section)
        else:
            parameters |= _items(section)
    summary, _, description = "\n".join(prose).strip().partition("\n\n")
    return Docstring(_one_line(summary), description.strip(), parameters, returns)


def _items(section: str) -> dict[str, str]:
    """``name: note`` by name; a note goes on in the lines that are indented further."""
    items: dict[str, list[str]] = {}
    name = ""
    for line in section.splitlines():
        found = _ITEM.fullmatch(line)
        if found is not None:
            name = found[1]
            items[name] = [found[2]]
        elif name and line[:1].isspace():
            items[name].append(line)
    return {name: _one_line(" ".join(parts)) for name, parts in items.items()}


def _one_line(text: str) -> str:
    return " ".join(text.split())

"""``kapelle config``."""

from __future__ import annotations

import inspect
import json
import os
import re
import textwrap
from pathlib import Path

from rich.console import Console
from rich.text import Text

from kapelle.config.settings import Settings, load

_INDENT = "    "


def run_config() -> int:
    """Print every setting with its value, its origin and its meaning: in one line each where that fits, else in two."""
    loaded = load(folder=Path.cwd(), environment=os.environ)
    meanings = setting_meanings()
    rows = [
        (name, shown(getattr(loaded.settings, name)), loaded.origins[name], meanings[name])
        for name in Settings.__struct_fields__
    ]
    name, value, origin, meaning = (max(map(len, column)) for column in zip(*rows, strict=True))
    console = Console(highlight=False, soft_wrap=True)
    fits = name + value + origin + meaning + 6 <= console.width
    for row in rows:
        line = Text(f"{row[0]:{name}}  {row[1]:{value}}  {row[2]:{origin}}", "" if row[2] == "default" else "bold")
        below = textwrap.fill(row[3], console.width, initial_indent=_INDENT, subsequent_indent=_INDENT)
        line.append(f"  {row[3]}" if fits else f"\n{below}", "dim")
        console.print(line)
    return 0


def shown(value: object) -> str:
    """A value as it is written in kapelle.toml; the settings that are no whole numbers are durations."""
    if isinstance(value, float):
        return f'"{value:g}s"'
    return json.dumps(value, ensure_ascii=False)


def setting_meanings() -> dict[str, str]:
    """The text under each field of ``Settings``: that is the one place where a setting is explained."""
    return dict(re.findall(r'^    (\w+): .*\n    """(.*?)"""', inspect.getsource(Settings), re.MULTILINE))

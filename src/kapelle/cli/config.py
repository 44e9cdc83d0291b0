"""``kapelle config``."""

from __future__ import annotations

import inspect
import os
import re
from pathlib import Path

from rich.console import Console
from rich.table import Table

from kapelle.config.settings import Settings, load


def run_config() -> int:
    """Print every setting with its value, its origin and its meaning."""
    loaded = load(folder=Path.cwd(), environment=os.environ)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("setting", "value", "from", "meaning"):
        table.add_column(title)
    meanings = _meanings()
    for name in Settings.__struct_fields__:
        origin = loaded.origins[name]
        value = getattr(loaded.settings, name)
        table.add_row(name, repr(value), origin, meanings[name], style="" if origin == "default" else "bold")
    Console().print(table)
    return 0


def _meanings() -> dict[str, str]:
    """The text under each field of ``Settings``: that is the one place where a setting is explained."""
    return dict(re.findall(r'^    (\w+): .*\n    """(.*?)"""', inspect.getsource(Settings), re.MULTILINE))

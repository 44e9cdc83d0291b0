"""Tables of the reference, read off the code."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any, get_args

from kapelle.cli.config import setting_meanings, shown
from kapelle.config.settings import Settings
from kapelle.gateway.problems import PHRASES, STATUS
from kapelle.wire import messages as wire
from kapelle.wire import wishes
from tests.house.sources import ROOT


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a column whose title begins with a blank is aligned to the right."""
    lines = [header, ["---:" if title.startswith(" ") else "---" for title in header], *rows]
    return "\n".join("| " + " | ".join(cell.strip() for cell in cells) + " |" for cells in lines)


def one_line(doc: str | None) -> str:
    """A docstring as one line of Markdown."""
    return " ".join(inspect.cleandoc(doc or "").replace("``", "`").split())


def settings() -> str:
    """Every setting with its default and its meaning."""
    meanings, defaults = setting_meanings(), Settings()
    return table(
        ("setting", "default", "meaning"),
        [(f"`{name}`", f"`{shown(getattr(defaults, name))}`", meanings[name]) for name in Settings.__struct_fields__],
    )


def errors() -> str:
    """Every class of error that has an HTTP status of its own."""
    return table(
        ("error", "status", "`type` of the problem", "when"),
        [
            (
                f"`{kind.__name__}`",
                f"{status} {PHRASES[status]}",
                f"`urn:kapelle:error:{kind.code}`",  # type: ignore[attr-defined]  # all of them are KapelleErrors
                one_line((kind.__doc__ or "").split("\n", 1)[0]),
            )
            for kind, status in sorted(STATUS.items(), key=lambda item: (item[1], item[0].__name__))
        ],
    )


def messages() -> str:
    """Every message of every direction."""
    directions = {
        "Gateway to replica": wire.ToReplica,
        "Replica to gateway": wire.FromReplica,
        "Supervisor to process": wire.ToProcess,
        "Process to supervisor": wire.FromProcess,
        "Anybody to the controller": wishes.ToController,
        "Controller to whoever asked": wishes.FromController,
    }
    parts = []
    for title, union in directions.items():
        rows = [(f"`{kind.__name__}`", _fields(kind), one_line(kind.__doc__)) for kind in get_args(union)]
        parts.append(f"**{title}**\n\n{table(('message', 'fields', 'meaning'), rows)}")
    return "\n\n".join(parts)


def _fields(kind: Any) -> str:
    return ", ".join(f"`{name}`" for name in kind.__struct_fields__)


def figures() -> str:
    """CPU time per request of every target, from the benchmarks' results."""
    alone, batched = _costs("tiny"), _costs("tiny-batched")
    rows = [
        (name, f"{cost:.0f}", f"{batched[name]:.0f}" if name in batched else "-")
        for name, cost in sorted(alone.items(), key=lambda item: item[1])
    ]
    return table(("server", " CPU µs a request", " with batching"), rows)


def _costs(scenario: str) -> dict[str, float]:
    rounds = json.loads((ROOT / "benchmarks/results" / f"{scenario}.json").read_text())["rounds"]
    return {name: median(each["crowd"]["cpu_us"] for each in played) for name, played in rounds.items() if played}

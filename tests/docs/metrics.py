"""The metrics of a running system, as ``/metrics`` gives them."""

from __future__ import annotations

import re
from pathlib import Path

import uvloop

from kapelle.testing import running_processes
from tests.docs.measured_app import Measured
from tests.docs.tables import table

_APP = Path(__file__).with_name("measured_app.py")
_ABOUT = re.compile(r"# (HELP|TYPE) (\w+) (.*)")
_SERIES = re.compile(r"(\w+)(?:\{(.*)\})? \S+")
_LABEL = re.compile(r'(\w+)="')


def metrics() -> str:
    """Every metric of a system of real processes that has answered a call of each kind."""
    return metrics_of(uvloop.run(_measure()))


def metrics_of(exposition: str) -> str:
    """The name, kind, labels and meaning of every metric of a scrape."""
    about: dict[str, dict[str, str]] = {}
    labels: dict[str, set[str]] = {}
    for line in exposition.splitlines():
        if described := _ABOUT.fullmatch(line):
            about.setdefault(described[2], {})[described[1]] = described[3]
        elif series := _SERIES.fullmatch(line):
            name = series[1] if series[1] in about else re.sub(r"_(bucket|sum|count)$", "", series[1])
            labels.setdefault(name, set()).update(_LABEL.findall(series[2] or ""))
    return table(
        ("metric", "kind", "labels", "meaning"),
        [
            (f"`{name}`", about[name]["TYPE"], _names(labels.get(name, set()) - {"le"}), about[name]["HELP"])
            for name in sorted(about)
        ],
    )


async def _measure() -> str:
    async with running_processes(Measured, target=f"{_APP}:Measured") as system:
        for path in ("/row", "/unary", "/stream"):
            (await system.client.post(path, json={"number": 1})).raise_for_status()
        return (await system.client.get("/metrics")).text


def _names(labels: set[str]) -> str:
    return ", ".join(f"`{label}`" for label in sorted(labels))

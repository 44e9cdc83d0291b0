"""Batches over the rate of arrivals as a picture: their size, the answers, the latencies beside the deadline."""

from __future__ import annotations

from collections.abc import Sequence
from math import log10

Point = tuple[float, float, float, float, float]
"""Arrivals a second; rows in a batch, answers a second, p50 and p99 in milliseconds."""

_WIDTH, _PANEL, _LEFT, _RIGHT, _TOP, _GAP = 900, 120, 60, 70, 34, 46
_LABEL = 40.0
"""Pixels for the name of a rate."""


def draw(points: Sequence[Point], deadline: float) -> str:
    """An SVG of three panels, one below the other, over the same rates."""
    panels = (
        ("Rows in a batch", [("", "rows", [point[1] for point in points])], 0.0),
        ("Right answers a second", [("", "answers", [point[2] for point in points])], 0.0),
        (
            "Latency in ms, and the deadline",
            [("p50", "p50", [point[3] for point in points]), ("p99", "p99", [point[4] for point in points])],
            deadline,
        ),
    )
    height = _TOP + len(panels) * (_PANEL + _GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        "<title>Batches under rising load</title>",
        (
            "<style>svg{background:#fff}text{font:12px system-ui,sans-serif;fill:#52606d}.name{font-weight:600;fill:#1f2933}"
            ".line{stroke:#e1e7ee}.deadline{stroke:#c43c35;stroke-dasharray:4 3}.graph{fill:none;stroke-width:2}"
            ".rows,.answers,.p50{stroke:#5b82ad}.p99{stroke:#c98a1b}</style>"
        ),
    ]
    rates = [point[0] for point in points]
    for number, (name, graphs, limit) in enumerate(panels):
        parts += _panel(_TOP + number * (_PANEL + _GAP), name, rates, graphs, limit)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(
    top: int, name: str, rates: Sequence[float], graphs: Sequence[tuple[str, str, list[float]]], limit: float
) -> list[str]:
    highest = max([limit, *(value for _, _, values in graphs for value in values)]) * 1.1

    def x(rate: float) -> float:
        share = log10(rate / rates[0]) / (log10(rates[-1] / rates[0]) or 1)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return top + _PANEL * (1 - value / highest)

    parts = [f'<text class="name" x="{_LEFT}" y="{top - 8}">{name}</text>']
    for value in (0.0, highest / 2, highest):
        parts.append(f'<path class="line" d="M{_LEFT} {y(value):.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:,.0f}</text>')
    if limit:
        parts.append(f'<path class="deadline" d="M{_LEFT} {y(limit):.1f}H{_WIDTH - _RIGHT}"/>')
    for label, kind, values in graphs:
        line = "L".join(f"{x(rate):.1f} {y(value):.1f}" for rate, value in zip(rates, values, strict=True))
        parts.append(f'<path class="graph {kind}" d="M{line}"/>')
        parts.append(f'<text x="{_WIDTH - _RIGHT + 6}" y="{y(values[-1]) + 4:.1f}">{label}</text>')
    told = -_LABEL
    for rate in rates:
        if x(rate) >= told + _LABEL:  # those that would run into each other are left out
            told = x(rate)
            parts.append(f'<text x="{told:.1f}" y="{top + _PANEL + 16}" text-anchor="middle">{rate:,.0f}</text>')
    return parts

"""Latencies over time as a picture: a panel for each way to update, a point for each request."""

from __future__ import annotations

from math import log10

Record = tuple[float, float, int]

_WIDTH, _PANEL, _LEFT, _TOP = 900, 130, 60, 34
_LOW, _HIGH = 5e-4, 6.0
"""Seconds at the lower and the upper end of a panel."""
_MARKS = ((1e-3, "1 ms"), (1e-2, "10 ms"), (1e-1, "100 ms"), (1.0, "1 s"))


def draw(updates: list[tuple[str, list[Record]]], update_at: float, seconds: float) -> str:
    """An SVG of all requests: blue is the old version, green the new one, red a failure."""
    height = _TOP + len(updates) * (_PANEL + 40)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        "<title>Latencies around an update</title>",
        (
            "<style>svg{background:#fff}text{font:12px system-ui,sans-serif;fill:#52606d}.name{font-weight:600;fill:#1f2933}"
            ".line{stroke:#e1e7ee}.at{stroke:#c98a1b;stroke-dasharray:4 3}"
            ".dot{fill:none;stroke-width:2.4;stroke-linecap:round}.v1{stroke:#5b82ad}.v2{stroke:#4c9a6a}.v0{stroke:#c43c35}"
            "</style>"
        ),
    ]
    for number, (name, records) in enumerate(updates):
        parts += _panel(_TOP + number * (_PANEL + 40), name, records, update_at, seconds)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(top: float, name: str, records: list[Record], update_at: float, seconds: float) -> list[str]:
    def x(at: float) -> float:
        return _LEFT + at / seconds * (_WIDTH - _LEFT - 16)

    def y(took: float) -> float:
        share = log10(max(_LOW, min(took, _HIGH)) / _LOW) / log10(_HIGH / _LOW)
        return top + _PANEL * (1 - share)

    parts = [f'<text class="name" x="{_LEFT}" y="{top - 8}">{name}</text>']
    for took, label in _MARKS:
        parts.append(f'<path class="line" d="M{_LEFT} {y(took):.1f}H{_WIDTH - 16}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y(took) + 4:.1f}" text-anchor="end">{label}</text>')
    parts.append(f'<path class="at" d="M{x(update_at):.1f} {top}V{top + _PANEL}"/>')
    for version in (1, 2, 0):
        # A point each; those that would cover each other are one.
        points = {(round(x(due)), round(y(took))) for due, took, found in records if found == version}
        parts.append(
            f'<path class="dot v{version}" d="{"".join(f"M{at} {height}h0" for at, height in sorted(points))}"/>'
        )
    parts += [
        f'<text x="{x(at):.1f}" y="{top + _PANEL + 16}" text-anchor="middle">{at:.0f} s</text>'
        for at in range(0, int(seconds) + 1, 2)
    ]
    return parts

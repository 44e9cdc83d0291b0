"""The figures as a picture: a panel for each kind of figure over the sizes, and bars for the app's own request."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from math import ceil, floor, log10

from kapelle.bench.figures import FILES, FUSED, HTTP, HTTPX, SHARED, TCP, UNIX, Comparison, Line, Own
from kapelle.bench.units import rate_text, size_text, time_text

_WIDTH, _LEFT, _TOP = 1020, 62, 96
_PANEL, _GAP, _HEIGHT = 256, 76, 250
_BAR, _INDENT, _ROOM = 22, 44, 62
_COLOURS = {
    HTTPX: "#e08f88", HTTP: "#c43c35", FILES: "#c98a1b", TCP: "#8a63a8", UNIX: "#5b82ad", SHARED: "#2f8a57", FUSED: "#1f2933",
}  # fmt: skip
_STYLE = (
    "<style>svg{background:#fff}text{font:12px system-ui,sans-serif;fill:#52606d}.title{font-size:15px}"
    ".name,.title{font-weight:600;fill:#1f2933}.line{stroke:#e1e7ee}.end{text-anchor:end}.mid{text-anchor:middle}"
    ".way{fill:none;stroke-width:2}</style>"
)

Value = Callable[[Line], float | None]
Label = Callable[[float], str]


def draw(found: Comparison) -> str:
    """An SVG of all of it."""
    terms = found.terms
    loaded = f"{terms.concurrency} at once"
    panels: list[tuple[str, Value, Label]] = [
        ("one at a time: time of a request", lambda line: line.alone.p50, time_text),
        (f"{loaded}: requests a second", lambda line: line.loaded.throughput, rate_text),
        (f"{loaded}: CPU for a request", lambda line: line.loaded.cpu, time_text),
    ]
    bottom = _TOP + _HEIGHT + 64
    own = [] if found.own is None else _own(bottom, found.own, loaded)
    height = bottom + (0 if found.own is None else 44 + _BAR * len(found.own.lines))
    title = f"The way of a payload through {terms.services} without work, {terms.apart}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        f"<title>{title}</title>",
        _STYLE,
        f'<text class="title" x="{_LEFT - 44}" y="26">{title}</text>',
        *_legend([line.way for line in found.blocks[0].lines]),
    ]
    for number, (name, value, label) in enumerate(panels):
        parts += _panel(_LEFT + number * (_PANEL + _GAP), name, found, value, label)
    return "\n".join([*parts, *own, "</svg>"]) + "\n"


def _legend(names: list[str]) -> list[str]:
    parts, x = [], _LEFT - 44
    for name in names:
        parts.append(
            f'<path class="way" stroke="{_COLOURS[name]}" d="M{x} 50h18"/><text x="{x + 24}" y="54">{name}</text>'
        )
        x += 46 + 7 * len(name)
    return parts


def _panel(left: float, name: str, found: Comparison, value: Value, label: Label) -> list[str]:
    values = [each for block in found.blocks for line in block.lines if (each := value(line))]
    if not values:
        return []
    low, high = floor(log10(min(values))), max(ceil(log10(max(values))), floor(log10(min(values))) + 1)
    sizes = [block.size for block in found.blocks]
    span = log10(sizes[-1] / sizes[0]) or 1.0

    def x(size: int) -> float:
        return left + log10(size / sizes[0]) / span * _PANEL

    def y(each: float) -> float:
        return _TOP + _HEIGHT * (1 - (log10(each) - low) / (high - low))

    parts = [f'<text class="name" x="{left}" y="{_TOP - 12}">{name}</text>']
    for power in range(low, high + 1):
        at = y(10.0**power)
        parts.append(f'<path class="line" d="M{left} {at:.1f}h{_PANEL}"/>')
        parts.append(f'<text class="end" x="{left - 6}" y="{at + 4:.1f}">{_tick(label(10.0**power))}</text>')
    parts += [
        f'<text class="mid" x="{x(size):.1f}" y="{_TOP + _HEIGHT + 22}">{size_text(size)}</text>' for size in sizes
    ]
    for way in [line.way for line in found.blocks[0].lines]:
        points = [
            (x(block.size), y(each))
            for block in found.blocks
            if (line := block.line(way)) is not None and (each := value(line))
        ]
        path = "L".join(f"{across:.1f} {down:.1f}" for across, down in points)
        dots = "".join(f'<circle cx="{across:.1f}" cy="{down:.1f}" r="3"/>' for across, down in points)
        colour = _COLOURS[way]
        parts.append(f'<path class="way" stroke="{colour}" d="M{path}"/><g fill="{colour}">{dots}</g>')
    return parts


def _own(top: float, own: Own, loaded: str) -> list[str]:
    request = f"{own.request}, {size_text(own.size)}"
    parts = [f'<text class="title" x="{_LEFT - 44}" y="{top}">A request to the app itself: {escape(request)}</text>']
    bars: list[tuple[str, Value, Label]] = [
        ("one at a time: time of a request", lambda line: line.alone.p50, time_text),
        (f"{loaded}: requests a second", lambda line: line.loaded.throughput, rate_text),
        (f"{loaded}: CPU for a request", lambda line: line.loaded.cpu, time_text),
    ]
    for number, (name, value, label) in enumerate(bars):
        left = _LEFT + _INDENT + number * (_PANEL + _GAP)
        values = [value(line) or 0.0 for line in own.lines]
        most = max(values) or 1.0
        parts.append(f'<text class="name" x="{left}" y="{top + 24}">{name}</text>')
        for row, (line, each) in enumerate(zip(own.lines, values, strict=True)):
            down = top + 34 + row * _BAR
            width = each / most * (_PANEL - _INDENT - _ROOM)
            parts.append(
                f'<text class="end" x="{left - 6}" y="{down + 13}">{line.way}</text>'
                f'<rect x="{left}" y="{down}" width="{width:.1f}" height="{_BAR - 6}" fill="{_COLOURS[line.way]}"/>'
                f'<text x="{left + width + 6:.1f}" y="{down + 13}">{label(each)}</text>'
            )
    return parts


def _tick(text: str) -> str:
    """A power of ten: ``"10 ms"`` for ``"10.0 ms"``."""
    number, space, unit = text.partition(" ")
    return (number.rstrip("0").rstrip(".") if "." in number else number) + space + unit

"""The figures as a table, on a terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from kapelle.bench.cache import pays_from
from kapelle.bench.conclusion import conclude
from kapelle.bench.figures import Block, Comparison, Figures, Line
from kapelle.bench.units import cost_text, percent, rate_text, size_text, time_text

_FIGURES = ("p50", "p99", "req/s", "CPU")


def compared(found: Comparison) -> Table:
    """A row for each way and size, and for the app's own request."""
    table = _table(found.terms.concurrency, "payload", "way")
    table.add_column("a cache\npays from", justify="right", min_width=7)
    for place, (title, block) in enumerate(_blocks(found)):
        if place:
            table.add_row()
        for number, line in enumerate(block.lines):
            table.add_row("" if number else title, line.way, *_figures(line), _repeats(block, line))
    return table


def measured(line: Line, concurrency: int) -> Table:
    """The row of one way."""
    table = _table(concurrency, "way")
    table.add_row(line.way, *_figures(line))
    return table


def markdown(found: Comparison, picture: str) -> str:
    """All of it as a document; ``picture`` is the name of the file beside it."""
    terms = found.terms
    titles = [
        "payload", "way", *(f"alone, {one}" for one in _FIGURES),
        *(f"{terms.concurrency} at once, {one}" for one in _FIGURES), "a cache pays from",
    ]  # fmt: skip
    rows = [
        [title, line.way, *_figures(line), _repeats(block, line)]
        for title, block in _blocks(found)
        for line in block.lines
    ]
    lines = ["| " + " | ".join(cells) + " |" for cells in (titles, ["---"] * 2 + ["---:"] * (len(titles) - 2), *rows)]
    told = [f"- {sentence}" for sentence in conclude(found)]
    about = (
        f"{terms.services}, {terms.apart}, on {terms.cores} cores; {terms.seconds:g} s for each "
        f"figure. CPU is that of all processes for one request. Files went through {terms.volume}."
    )
    parts = [f"# What the way between the services of {terms.app} costs", about, f"![the figures]({picture})"]
    return "\n\n".join([*parts, "\n".join(told), "\n".join(lines)]) + "\n"


def _table(concurrency: int, *titles: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim", collapse_padding=True)
    for title in titles:
        table.add_column(f"\n{title}", no_wrap=True)
    for group in ("alone", f"{concurrency} at once"):
        for number, title in enumerate(_FIGURES):
            table.add_column(f"{'' if number else group}\n{title}", justify="right", no_wrap=True)
    return table


def _blocks(found: Comparison) -> Iterator[tuple[str, Block]]:
    for block in found.blocks:
        yield size_text(block.size), block
    if found.own is not None:
        yield found.own.request.partition(" ")[2].partition("?")[0], found.own


def _figures(line: Line) -> list[str]:
    return [text for figures in (line.alone, line.loaded) for text in _texts(figures)]


def _texts(figures: Figures) -> tuple[str, str, str, str]:
    return time_text(figures.p50), time_text(figures.p99), rate_text(figures.throughput), cost_text(figures.cpu)


def _repeats(block: Block, line: Line) -> str:
    share = pays_from(block.lookup, line.alone.p50)
    return "never" if share is None else percent(share)

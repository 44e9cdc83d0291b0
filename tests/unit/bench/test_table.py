from __future__ import annotations

import io

from rich.console import Console

from kapelle.bench.table import compared, markdown, measured
from tests.unit.bench.made_up import COMPARISON, OWN


def printed(table: object) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=100).print(table)
    return file.getvalue().splitlines()


def test_is_readable_on_a_hundred_columns() -> None:
    lines = printed(compared(COMPARISON))
    text = "\n".join(lines)
    assert max(map(len, lines)) <= 100
    assert "…" not in text
    rows = [line.split() for line in lines]
    assert ["1", "KB", "bare", "HTTP", "400", "µs"] in [row[:6] for row in rows]
    assert ["/finalize", "TCP"] in [row[:2] for row in rows]
    assert "never" not in rows[3]


def test_one_way_alone_is_one_row() -> None:
    *_, row = printed(measured(OWN.lines[2], 8))
    assert row.split()[:4] == ["shared", "memory", "5.00", "ms"]


def test_the_document_has_the_conclusion_the_picture_and_every_row() -> None:
    text = markdown(COMPARISON, "compare.svg")
    assert "# What the way between the services of Pipeline costs" in text
    assert "![the figures](compare.svg)" in text
    assert "- At 1 KB, quickest between processes" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 6 + 6 + 4
    assert len({row.count("|") for row in rows}) == 1

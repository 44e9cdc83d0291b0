from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from apps.question_search.progress import progress


def run(console: Console, steps: list[int], total: int) -> str:
    with progress(console, "Counting", total) as advance:
        for step in steps:
            advance(step)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_elsewhere_than_on_a_terminal_the_end_is_one_line() -> None:
    written = run(Console(file=StringIO()), [4000, 8000], 12_000)
    assert written.startswith("Counting: 100% (12,000 of 12,000), ")
    assert written.endswith("/s, 0 s left\n")
    assert written.count("\n") == 1


def test_and_now_and_then_another(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([0.0, 1.0, 2.0, 3.0, 4.0])
    monkeypatch.setattr("time.monotonic", lambda: next(seconds))
    assert run(Console(file=StringIO()), [10, 10, 10, 10], 80).splitlines() == [
        "Counting: 25% (20 of 80), 10/s, 6 s left",
        "Counting: 50% (40 of 80), 10/s, 4 s left",
    ]


def test_a_terminal_has_a_bar() -> None:
    written = run(Console(file=StringIO(), force_terminal=True, width=100, color_system=None), [5, 5], 10)
    assert "Counting ━━━━" in written
    assert "100%" in written
    assert "10/10" in written

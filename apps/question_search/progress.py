"""How far a long step is: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

SECONDS_BETWEEN_LINES = 2.0

Advance = Callable[[int], None]


@contextmanager
def progress(console: Console, title: str, total: int) -> Iterator[Advance]:
    """Call the yielded function with the number of items just done."""
    if not console.is_terminal:
        yield _Lines(console, title, total).advance
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=total)
        yield lambda count: bar.advance(task, count)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")


class _Lines:
    def __init__(self, console: Console, title: str, total: int) -> None:
        self._console, self._title, self._total = console, title, total
        self._done = 0
        self._began = self._printed = time.monotonic()

    def advance(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now - self._printed < SECONDS_BETWEEN_LINES and self._done < self._total:
            return
        self._printed = now
        rate = self._done / max(now - self._began, 1e-9)
        left = (self._total - self._done) / rate
        self._console.out(
            f"{self._title}: {self._done / self._total:.0%} ({self._done:,} of {self._total:,}), "
            f"{rate:,.0f}/s, {left:.0f} s left"
        )

"""``kapelle bench``: what a request costs, and what the way between the services is of it."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from kapelle.bench.compare import compare, duration, measuring, stages_of
from kapelle.bench.conclusion import conclude
from kapelle.bench.example import request_of
from kapelle.bench.figures import Comparison
from kapelle.bench.load import time_of
from kapelle.bench.own import Effort, Step, Subject, measure_system, served, way_of
from kapelle.bench.picture import draw
from kapelle.bench.system import quiet
from kapelle.bench.table import compared, markdown, measured
from kapelle.bench.units import parse_sizes, size_text
from kapelle.cli.parameters import in_seconds
from kapelle.cli.project import Project
from kapelle.errors import ConfigError
from kapelle.observe.logs import configure

T = TypeVar("T")

_SIZES = "1KB,10KB,100KB,1MB,10MB"
_SHORTEST = 0.05
_MOST_CALLERS = 256
_PICTURE = "compare.svg"
_WIDE = 200
"""Columns for a table, which takes what it needs of them: in a pipe or on a narrow terminal its figures would be cut off."""


def run_bench(target: str, endpoint: str | None, request: str | None, effort: Effort, artifacts: str | None) -> int:
    """Measure the app's own request; the exit status."""
    subject = _subject(target, endpoint, request, artifacts)
    if subject.request is None:
        raise ConfigError(f"no request to {subject.spec.name} can be made up; give its body with --request FILE")
    settings = quiet(subject.settings)
    system = served(way_of(settings), subject, settings)
    told = Console(stderr=True, highlight=False)
    told.print(f"starting {subject.spec.name}, then measuring for {2 * time_of(effort.seconds):.0f} s")
    with _progress(told, 2 * time_of(effort.seconds)) as step:
        _run(measure_system(system, subject, effort, step))
    console = Console(highlight=False)
    size = f", {size_text(len(subject.request.body))}" if subject.request.body else ""
    console.print(f"[bold]{subject.request.method} {subject.request.target}[/]{size}")
    _wide().print(measured(system.line, effort.concurrency))
    console.print("CPU is that of all processes of the app for one request.", style="dim")
    console.print(f"what the way between its services is of it: kapelle bench {target} --compare", style="dim")
    return 0


def run_compare(
    target: str,
    endpoint: str | None,
    request: str | None,
    effort: Effort,
    artifacts: str | None,
    sizes: str | None,
    volume: str | None,
    out: str | None,
) -> int:
    """Compare the ways, say what follows, and write it down where that is asked for; the exit status."""
    subject = _subject(target, endpoint, request, artifacts)
    lengths = parse_sizes(sizes or _SIZES)
    folder = Path(volume or tempfile.gettempdir())
    if not folder.is_dir():
        raise ConfigError(f"--volume {folder} is no folder")
    _check_writable("--volume", folder)
    written = _prepared(out)
    told = Console(stderr=True, highlight=False)
    stages = stages_of(subject)
    told.print(
        f"{subject.spec.name}: {stages} service{'s' if stages > 1 else ''} in processes of their own; this takes about "
        f"{duration(subject, lengths, effort):.0f} s, and is told best by a machine that does nothing else"
    )
    with _progress(told, measuring(subject, lengths, effort)) as step:
        found = _run(compare(subject, lengths, effort, folder, step))
    console = Console(highlight=False)
    _wide().print(compared(found))
    console.print(
        "CPU is that of all processes for one request; `kapelle bench --help` explains the ways.", style="dim"
    )
    console.print()
    for sentence in conclude(found):
        console.print(sentence, markup=False)
        console.print()
    if written is not None:
        _write(found, written)
        console.print(
            f"\nwritten: {', '.join(str(written / name) for name in ('compare.md', _PICTURE, 'compare.json'))}"
        )
    return 0


def effort_of(text: str, concurrency: int) -> Effort:
    """How long and with how many callers is measured.

    Raises:
        ConfigError: that is too little or too much.
    """
    length = in_seconds("--seconds", text)
    if length < _SHORTEST:
        raise ConfigError(f"--seconds {text}: expected {_SHORTEST:g} at least")
    if not 1 <= concurrency <= _MOST_CALLERS:
        raise ConfigError(f"--concurrency {concurrency}: expected 1 to {_MOST_CALLERS}")
    return Effort(length, concurrency)


def refuse_without_compare(**options: str | None) -> None:
    """Options that only a comparison has are not passed over.

    Raises:
        ConfigError: one of them is given.
    """
    for name, value in options.items():
        if value is not None:
            raise ConfigError(f"--{name} {value}: only --compare has that; give both")


def _subject(target: str, endpoint: str | None, request: str | None, artifacts: str | None) -> Subject:
    project = Project(target, {"artifacts": artifacts})
    configure(format="auto", level="error", service="bench", replica="bench")
    spec = project.load()
    found = request_of(spec, endpoint, None if request is None else Path(request))
    return Subject(target, spec, project.settings, project.artifacts, found)


def _prepared(out: str | None) -> Path | None:
    """The folder to write to, made before anything is measured: nobody waits in vain."""
    if out is None:
        return None
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {folder} cannot be made: {error.strerror}") from None
    _check_writable("--out", folder)
    return folder


def _check_writable(option: str, folder: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(f"{option} {folder} cannot be written to: {error.strerror}") from None


def _wide() -> Console:
    return Console(highlight=False, width=_WIDE)


def _write(found: Comparison, folder: Path) -> None:
    (folder / "compare.json").write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    (folder / "compare.md").write_text(markdown(found, _PICTURE), encoding="utf-8")
    (folder / _PICTURE).write_text(draw(found), encoding="utf-8")


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run it to its end. Ctrl-C, SIGTERM and SIGHUP end it in order, once: what it has started is ended, too."""

    async def run() -> T:
        task = asyncio.ensure_future(work)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Under nohup the end of the terminal is to be ignored.
            if signal.getsignal(number) is signal.SIG_IGN:
                continue
            asyncio.get_running_loop().add_signal_handler(number, _once(task))
        return await task

    try:
        return uvloop.run(run())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _once(task: asyncio.Future[Any]) -> Any:
    asked = False

    def cancel() -> None:
        nonlocal asked
        if not asked:
            asked = True
            task.cancel()

    return cancel


@contextmanager
def _progress(console: Console, total: float) -> Iterator[Step]:
    """A bar on a terminal, elsewhere a line now and then. It is drawn between measurements: drawing takes time, too."""
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=console, transient=True,
        auto_refresh=False, disable=not console.is_terminal,
    )  # fmt: skip
    passed, told = 0.0, ""
    with bar:
        task = bar.add_task("starting", total=total)

        def step(what: str, length: float) -> None:
            nonlocal passed, told
            subject = what.partition(",")[0]
            if not console.is_terminal and subject != told:
                told = subject
                console.print(subject, style="dim")
            bar.update(task, description=what, completed=passed, refresh=True)
            passed += length

        yield step

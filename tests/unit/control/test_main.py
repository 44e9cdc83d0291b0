"""``kapelle serve`` in this process, with real signals; its system is one of puppets."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kapelle.control import controller as module
from kapelle.control.beginning import Arrangement
from kapelle.control.controller import Controller
from kapelle.control.main import serve
from kapelle.control.recipes import Recipe
from kapelle.control.rundir import RunDir
from kapelle.errors import StartError
from tests.unit.control.stage import plan, recipe

DRAINING = "draining: finishing what runs (press Ctrl-C again to end at once)"
STOPPED = "stopped; nothing was left behind"
AT_ONCE = "ending everything at once"


class Terminal:
    """Where it is served: what was said here, and what is done when a line comes."""

    def __init__(self, folder: Path, play: str = "ready") -> None:
        self.folder = folder
        self.recipes = [recipe(play), recipe("ready", "gateway-0", "gateway")]
        self.lines: list[str] = []
        self.on_line: Callable[[str], None] = lambda _: None
        self.on_ready: Callable[[Controller], None] = lambda _: send(signal.SIGTERM)

    def serve(self) -> int:
        run = RunDir(self.folder / "run")
        try:
            return serve(Arrangement(plan(self.folder)), run, on_progress=self._say, on_ready=self.on_ready)
        finally:
            assert not run.path.exists(), "nothing is left behind"

    @property
    def last(self) -> list[str]:
        """All but the progress of the start."""
        return [line for line in self.lines if " is ready after " not in line]

    def _say(self, line: str) -> None:
        self.lines.append(line)
        self.on_line(line)


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    terminal = Terminal(tmp_path)

    def recipes(_: object, __: object) -> list[Recipe]:
        return terminal.recipes

    monkeypatch.setattr(module, "recipes", recipes)
    return terminal


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_in_order(terminal: Terminal, number: signal.Signals) -> None:
    terminal.on_ready = lambda _: send(number)
    assert terminal.serve() == 0
    assert terminal.last == [DRAINING, STOPPED]


def test_whoever_is_told_that_it_is_ready_can_use_it(terminal: Terminal) -> None:
    ready: list[Controller] = []

    def on_ready(controller: Controller) -> None:
        assert controller.ready
        assert not controller.url.endswith(":0")
        ready.append(controller)
        send(signal.SIGINT)

    terminal.on_ready = on_ready
    assert terminal.serve() == 0
    assert len(ready) == 1


def test_under_nohup_the_end_of_the_terminal_is_ignored(terminal: Terminal) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def on_ready(_: Controller) -> None:
        send(signal.SIGHUP)
        send(signal.SIGTERM)

    terminal.on_ready = on_ready
    assert terminal.serve() == 0
    assert terminal.last == [DRAINING, STOPPED]


def test_the_second_signal_ends_everything_at_once(terminal: Terminal) -> None:
    terminal.recipes[1] = recipe("ignore drain", "gateway-0", "gateway")
    terminal.on_line = lambda line: send(signal.SIGINT) if line == DRAINING else None
    assert terminal.serve() == 1
    *before, last = terminal.last
    assert before == [DRAINING, AT_ONCE]
    assert last.startswith("stopped; some work did not finish: gateway-0: killed by SIGKILL")


def test_work_that_did_not_finish_shows_in_the_status(terminal: Terminal) -> None:
    terminal.recipes[0] = recipe("leave work")
    assert terminal.serve() == 1
    assert terminal.last[-1] == "stopped; some work did not finish: Puppet-0: exited with status 7"


def test_a_start_that_fails_says_why_and_takes_all_down(terminal: Terminal) -> None:
    terminal.recipes[0] = recipe("fail")
    terminal.on_ready = lambda _: pytest.fail("it was never ready")
    with pytest.raises(StartError, match=r"did not start: Puppet-0: ValueError: no such model; the log above says why"):
        terminal.serve()
    assert terminal.last == [DRAINING]


@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), SystemExit(1)])
def test_it_drains_though_nobody_can_read_what_it_says(terminal: Terminal, error: BaseException) -> None:
    def unreadable(_: object) -> None:
        raise error

    def on_ready(_: Controller) -> None:
        send(signal.SIGTERM)
        raise error

    terminal.on_line, terminal.on_ready = unreadable, on_ready
    assert terminal.serve() == 0
    assert terminal.last == [DRAINING, STOPPED]

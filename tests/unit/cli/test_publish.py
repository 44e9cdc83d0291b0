"""A wish is granted or denied by whoever controls the system, and the exit status says which."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kapelle.cli import publish
from kapelle.cli.project import Running
from kapelle.cli.publish import NoController, run_cancel, run_publish, run_rollback
from kapelle.control.desk import Desk
from kapelle.control.rundir import RunDir
from kapelle.control.status import SystemStatus
from kapelle.errors import ConfigError
from kapelle.observe.metrics import Registry
from kapelle.wire import wishes


class Oracle:
    """Grants every wish with the same words."""

    def __init__(self, over: wishes.Over) -> None:
        self.over = over
        self.wishes: list[wishes.Wish] = []

    async def grant(self, wish: wishes.Wish, say: Callable[[str], None]) -> wishes.Over:
        self.wishes.append(wish)
        say("r7: waiting for Encoder-0")
        return self.over


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    run = RunDir(tmp_path / "run")
    run.acquire()
    monkeypatch.setattr(publish, "find_running", lambda *_: Running("app.py", run))
    return run


@contextmanager
def desk(run: RunDir, conductor: Any) -> Iterator[None]:
    """A controller's desk, in a thread with an event loop of its own."""
    status = SystemStatus(target="app.py", url="", controller=1, processes=[])
    opened = threading.Event()
    end: list[Callable[[], object]] = []

    async def serve() -> None:
        made = Desk(lambda: status, Registry(), conductor)
        await made.open(run.controller)
        stop = asyncio.Event()
        end.append(partial(asyncio.get_running_loop().call_soon_threadsafe, stop.set))
        opened.set()
        await stop.wait()
        made.close()
        for _ in range(10):
            # Those who asked have hung up, which is to be read and followed.
            await asyncio.sleep(0)

    thread = threading.Thread(target=asyncio.run, args=[serve()])
    thread.start()
    assert opened.wait(20)
    try:
        yield
    finally:
        end[0]()
        thread.join()


@pytest.mark.parametrize(
    ("outcome", "published", "rolled_back", "cancelled"),
    [("committed", 0, 0, 1), ("unchanged", 0, 1, 1), ("refused", 1, 1, 0), ("rolled back", 1, 0, 1)],
)
def test_the_exit_status_says_how_it_ended(
    run: RunDir, capsys: pytest.CaptureFixture[str], outcome: str, published: int, rolled_back: int, cancelled: int
) -> None:
    oracle = Oracle(wishes.Over("r7", outcome, "the reason"))
    with desk(run, oracle):
        assert run_publish("r7", None, None) == published
        assert run_rollback(None, None) == rolled_back
        assert run_cancel(None, None) == cancelled
    assert oracle.wishes == [wishes.Publish("r7"), wishes.Rollback(), wishes.CancelPublish()]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(" s  r7: waiting for Encoder-0")
    assert lines[1] == f"r7 {outcome}: the reason"


def test_a_part_of_the_requests_first(run: RunDir) -> None:
    oracle = Oracle(wishes.Over("r7", "committed", ""))
    with desk(run, oracle):
        run_publish("r7", None, None, canary="5%")
        run_publish("r7", None, None, shadow="0.25")
    assert oracle.wishes == [wishes.Publish("r7", 0.05, False), wishes.Publish("r7", 0.25, True)]


@pytest.mark.parametrize("share", ["0", "-5%", "105%", "nan", "half", "5 %%"])
def test_what_is_no_part_is_refused(run: RunDir, share: str) -> None:
    with pytest.raises(ConfigError, match=r"--canary is .* expected a part of the requests, such as 5% or 0.05"):
        run_publish("r7", None, None, canary=share)
    with pytest.raises(ConfigError, match="--canary and --shadow exclude each other"):
        run_publish("r7", None, None, canary="5%", shadow=share)


def test_a_system_that_changes_nothing_says_so(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    with desk(run, None):
        assert run_publish("r7", None, None) == 1
    assert "denied: this system serves local artifacts only" in capsys.readouterr().out


def test_without_a_controller_it_says_how_to_go_on(run: RunDir) -> None:
    with pytest.raises(
        NoController, match=r"`kapelle serve app.py` takes it over, then repeat `kapelle release publish r7`"
    ):
        run_publish("r7", None, None)

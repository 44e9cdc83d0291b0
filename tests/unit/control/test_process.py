from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from kapelle.clock import monotonic, wall
from kapelle.control import process as module
from kapelle.control.exits import birth
from kapelle.control.process import Process
from kapelle.control.rundir import Record
from kapelle.control.spawn import spawn
from kapelle.core.life import Effect, Phase, Terms
from tests.unit.control.stage import TERMS, Stage


class Watched(Stage):
    """A stage whose changes can be waited for."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, self._changed)
        self._event = asyncio.Event()
        self.processes: list[Process] = []

    def play(self, what: str, terms: Terms = TERMS) -> Process:
        process = self.process(what, terms)
        self.processes.append(process)
        process.start()
        return process

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._event.clear()
            await self._event.wait()

    def _changed(self) -> None:
        self._event.set()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Watched]:
    stage = Watched(tmp_path)
    yield stage
    for process in stage.processes:
        process.drain()
        process.kill()
        await process.ended.wait()


async def test_it_is_started_serves_and_drains(stage: Watched) -> None:
    before = wall()
    process = stage.play("ready")
    assert process.pid
    assert birth(process.pid)
    await stage.until(lambda: process.life.usable)
    assert process.member.ready
    assert process.member.data == f"unix:{stage.folder / 'Puppet-0.data'}"
    record = process.record
    assert (record.pid, record.born, record.ready) == (process.pid, birth(process.pid), True)
    status = process.status
    assert (status.phase, status.in_flight, status.queued) == ("serving", 2, 5)
    assert 0 <= status.uptime <= wall() - before
    assert status.memory > 1 << 20
    process.drain()
    await process.ended.wait()
    assert (process.outcome, process.pid, process.data) == ("", 0, "")
    assert stage.ended == [process]


async def test_it_is_started_again_when_it_dies(stage: Watched) -> None:
    process = stage.play("ready")
    await stage.until(lambda: process.life.usable)
    first = process.pid
    os.kill(first, signal.SIGKILL)
    await stage.until(lambda: not process.life.usable)
    assert not process.member.ready
    await stage.until(lambda: process.life.usable)
    assert process.pid != first
    assert (process.life.restarts, process.status.last_end) == (1, "killed by SIGKILL")


async def test_the_reason_of_a_failed_start_is_its_last_word(stage: Watched) -> None:
    process = stage.play("fail")
    await stage.until(lambda: process.life.crash_looping)
    assert process.life.reason == "ValueError: no such model"


async def test_without_a_last_word_the_status_is_the_reason(stage: Watched) -> None:
    process = stage.play("exit")
    await stage.until(lambda: process.life.crash_looping)
    assert process.life.reason == "exited with status 3"


async def test_what_cannot_even_be_started_is_tried_again(stage: Watched, tmp_path: Path) -> None:
    process = stage.process("ready")
    stage.processes.append(process)
    os.chmod(tmp_path, 0o500)  # noqa: PTH101 - the plain system call is meant
    (tmp_path / "Puppet-0.control").mkdir()
    process.start()
    assert process.life.phase is Phase.WAITING
    assert process.life.reason.startswith("could not be started: ")
    (tmp_path / "Puppet-0.control").rmdir()
    await stage.until(lambda: process.life.usable)


async def test_silence_is_noticed(stage: Watched) -> None:
    process = stage.play("ready", Terms(hang_after=0.2, first_backoff=0.01))
    await stage.until(lambda: process.life.usable)
    os.kill(process.pid, signal.SIGSTOP)
    await stage.until(lambda: process.life.restarts == 1)
    assert process.life.reason == "silent for 0.2 s (killed by SIGKILL)"


async def test_nobody_is_blamed_for_the_time_in_which_we_were_stopped(
    stage: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = stage.play("ready", Terms(hang_after=0.3))
    await stage.until(lambda: process.life.usable)
    pid = process.pid
    away = monotonic() + 100.0
    looked = asyncio.Event()
    real = process.life.tick

    def tick(now: float) -> list[Effect]:
        looked.set()
        return real(now)

    monkeypatch.setattr(process.life, "tick", tick)
    monkeypatch.setattr(module, "monotonic", lambda: away)
    # Its timer is due, and finds that a hundred seconds have passed; first it hears what the process says.
    process.probe(1)
    await looked.wait()
    assert process.life.usable
    assert process.pid == pid


async def test_one_that_is_stuck_is_replaced_at_once(stage: Watched) -> None:
    process = stage.play("ready", Terms(first_backoff=0.01))
    await stage.until(lambda: process.life.usable)
    pid = process.pid
    process._apply(process.life.heard("stuck", "a call runs on and on", monotonic()))
    await stage.until(lambda: process.life.usable and process.pid != pid)
    assert process.life.reason == "a call runs on and on (killed by SIGKILL)"


async def test_one_that_does_not_drain_is_ended_and_that_is_told(stage: Watched) -> None:
    process = stage.play("ignore drain", Terms(drain_timeout=0.1))
    await stage.until(lambda: process.life.usable)
    process.drain()
    await process.ended.wait()
    assert process.outcome == "still busy 0.1 s after it was asked to drain"


async def test_work_that_is_left_at_the_end_is_told(stage: Watched) -> None:
    process = stage.play("leave work")
    await stage.until(lambda: process.life.usable)
    process.drain()
    await process.ended.wait()
    assert process.outcome == "exited with status 7"


async def test_one_that_has_no_work_yet_is_not_waited_for(stage: Watched) -> None:
    process = stage.play("silent")
    process.drain()
    await process.ended.wait()
    assert process.outcome == ""


async def test_one_that_is_between_two_lives_ends_at_once(stage: Watched) -> None:
    process = stage.play("exit", Terms(first_backoff=100.0))
    await stage.until(lambda: process.life.phase is Phase.WAITING)
    process.drain()
    assert process.ended.is_set()
    assert stage.ended == [process]


async def test_a_process_that_talks_nonsense_is_not_believed(stage: Watched) -> None:
    process = stage.play("garbage", Terms(start_timeout=0.5, first_backoff=100.0))
    await stage.until(lambda: process.life.phase is Phase.WAITING)
    assert process.life.reason == "not ready after 0.5 s (killed by SIGKILL)"


async def test_one_that_runs_already_is_taken_over(stage: Watched) -> None:
    process = stage.process("ready")
    stage.processes.append(process)
    around, name = stage.around, process.name
    spawned = spawn(process.recipe, name, process.holding, around.control(name), around.data(name), None)
    pid = spawned.popen.pid
    record = Record(
        name=name, role="replica", service="Puppet", release="r1", shards=[0], pid=pid, born=birth(pid), data=spawned.data,
        slot=name,        control=str(around.control(name)), digest="digest", ready=True, started=wall() - 1000, restarts=7,
        last_end="tired",
    )  # fmt: skip
    process.adopt(record)
    assert process.life.usable, "it was last seen to serve"
    assert process.record == record
    assert process.status.uptime >= 1000
    os.kill(pid, signal.SIGKILL)
    await stage.until(lambda: process.life.restarts == 8 and process.life.usable)
    assert spawned.popen.wait() == -signal.SIGKILL
    assert process.pid != pid
    assert process.life.reason == "ended", "who is not the parent does not learn more"


async def test_memory_beyond_the_limit_asks_for_a_successor(stage: Watched) -> None:
    process = stage.play("ready", Terms(memory_limit=1 << 40))
    await stage.until(lambda: process.life.usable)
    process.life.terms = Terms(memory_limit=process.status.memory - (1 << 20))
    process.life._floor = 0
    process.probe(1)
    assert stage.replaced == [process]


async def test_a_limit_that_is_too_low_from_the_start_is_said_and_not_acted_on(stage: Watched) -> None:
    process = stage.play("ready", Terms(memory_limit=12 << 20))
    await stage.until(lambda: process.life.usable)
    assert process.life.reason.startswith("it begins with ")
    process.life.terms = Terms(memory_limit=process.status.memory - (1 << 20))
    process.probe(1)
    assert stage.replaced == []

"""Lives are led without processes here: what counts is who is drained, and when."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kapelle.clock import monotonic
from kapelle.control import handover as module
from kapelle.control.handover import PATIENCE, Handover
from kapelle.control.process import Process
from kapelle.core.life import Phase
from tests.unit.control.stage import Stage

Make = Callable[[], Process]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes processes that have begun to start."""
    stage = Stage(tmp_path)

    def starting() -> Process:
        process = stage.process("ready")
        process.life.adopt(monotonic(), ready=False)
        return process

    return starting


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set."""
    now = [1000.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    return now


def serves(process: Process, acquainted_as_of: int = 0) -> Process:
    process.life.heard("ready", "", monotonic())
    process.acquainted_as_of = acquainted_as_of
    return process


def is_drained(process: Process) -> bool:
    return process.life.phase is Phase.DRAINING


async def test_the_old_one_stays_until_every_successor_serves(make: Make) -> None:
    handover, old, first, second = Handover(), serves(make()), make(), make()
    handover.plan(old, [first, second])
    handover.look(1, [])
    serves(first)
    handover.look(2, [])
    assert not is_drained(old)
    serves(second)
    handover.look(3, [])
    assert is_drained(old)


async def test_the_old_one_is_not_started_again_when_it_ends_before(make: Make) -> None:
    handover, old = Handover(), serves(make())
    handover.plan(old, [make()])
    old.life.exited("killed by SIGKILL", monotonic())
    assert old.life.phase is Phase.ENDED


async def test_a_successor_that_was_itself_succeeded_holds_nobody_up(make: Make) -> None:
    handover, old, between, last = Handover(), serves(make()), make(), make()
    handover.plan(old, [between, last])
    handover.plan(between, [last])
    serves(between)
    serves(last)
    between.life.drain(monotonic())
    handover.look(1, [])
    assert not is_drained(old), "it drains, so its calls may come back"
    between.life.exited("exited with status 0", monotonic())
    handover.look(2, [])
    assert is_drained(old)


async def test_the_slowest_gateway_has_to_reach_the_successor_first(make: Make, clock: list[float]) -> None:
    handover, old, successor = Handover(), serves(make()), serves(make())
    quick, slow = serves(make(), acquainted_as_of=5), serves(make(), acquainted_as_of=4)
    handover.plan(old, [successor])
    handover.look(5, [quick, slow])
    assert not is_drained(old)
    handover.look(6, [quick, slow])
    assert not is_drained(old), "later versions do not matter, but version 5 does"
    slow.acquainted_as_of = 5
    handover.look(6, [quick, slow])
    assert is_drained(old)


async def test_a_gateway_that_does_not_serve_is_not_waited_for(make: Make, clock: list[float]) -> None:
    handover, old, successor, starting = Handover(), serves(make()), serves(make()), make()
    handover.plan(old, [successor])
    handover.look(5, [starting])
    assert is_drained(old)


async def test_patience_with_a_gateway_ends(make: Make, clock: list[float]) -> None:
    handover, old, successor, deaf = Handover(), serves(make()), serves(make()), serves(make())
    handover.plan(old, [successor])
    handover.look(5, [deaf])
    clock[0] += PATIENCE - 0.01
    handover.look(6, [deaf])
    assert not is_drained(old)
    clock[0] += 0.01
    handover.look(6, [deaf])
    assert is_drained(old)


async def test_each_goes_in_its_own_time(make: Make, clock: list[float]) -> None:
    handover, gateway = Handover(), serves(make(), acquainted_as_of=1)
    first, second, late = serves(make()), serves(make()), make()
    handover.plan(first, [serves(make())])
    handover.plan(second, [late])
    handover.look(1, [gateway])
    assert (is_drained(first), is_drained(second)) == (True, False)
    serves(late)
    handover.look(2, [gateway])
    assert not is_drained(second)
    gateway.acquainted_as_of = 2
    handover.look(2, [gateway])
    assert is_drained(second)

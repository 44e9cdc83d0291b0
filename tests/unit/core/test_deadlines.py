"""Deadlines are noticed never early, at most one grain late, and none is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kapelle.core.deadlines import Deadlines

SLACK = 1e-9
"""For the rounding of floats at the border of two slots."""


class Thing:
    def __init__(self, deadline: float) -> None:
        self.deadline = deadline


def watch(grain: float, deadlines: list[float]) -> tuple[Deadlines[Thing], list[Thing]]:
    watched = Deadlines[Thing](grain=grain)
    things = [Thing(deadline) for deadline in deadlines]
    for thing in things:
        watched.add(thing.deadline, thing)
    return watched, things


@given(
    grain=st.sampled_from([0.001, 0.01, 0.1, 0.25, 1.0]),
    delays=st.lists(st.floats(0.0, 5.0), max_size=60),
    steps=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=60),
    start=st.floats(0.0, 1e6),
)
def test_each_deadline_is_noticed_once_and_in_time(
    grain: float, delays: list[float], steps: list[float], start: float
) -> None:
    deadlines, pending = watch(grain, [start + delay for delay in delays])
    now = start
    for step in [*steps, 10.0]:
        now += step
        expired = deadlines.expired(now)
        assert all(thing.deadline <= now for thing in expired), "never early"
        for thing in expired:
            pending.remove(thing)  # and never twice: a second time it is not there any more
        assert all(now < thing.deadline + grain + SLACK for thing in pending), "at most one grain late"
        assert len(deadlines) == len(pending)
    assert not pending


@given(delays=st.lists(st.tuples(st.floats(0.0, 5.0), st.booleans()), max_size=60))
def test_what_ended_in_time_is_not_reported_and_not_kept(delays: list[tuple[float, bool]]) -> None:
    deadlines, things = watch(0.1, [delay for delay, _ in delays])
    for thing, (_, ends) in zip(things, delays, strict=True):
        if ends:
            deadlines.discard(thing.deadline, thing)
    running = {thing for thing, (_, ends) in zip(things, delays, strict=True) if not ends}
    assert len(deadlines) == len(running)
    assert set(deadlines.expired(10.0)) == running


def test_the_earliest_come_first() -> None:
    deadlines, _ = watch(0.1, [3.0, 1.0, 2.0])
    assert [thing.deadline for thing in deadlines.expired(9.0)] == [1.0, 2.0, 3.0]


def test_what_expired_already_may_still_end() -> None:
    deadlines, (thing,) = watch(0.1, [1.0])
    assert deadlines.expired(2.0) == [thing]
    deadlines.discard(1.0, thing)
    assert deadlines.expired(3.0) == []

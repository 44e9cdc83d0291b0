"""Time passes in order; in a storm messages are lost, doubled and late; the log takes each number once."""

from __future__ import annotations

from functools import partial

from kapelle.core.rollout_messages import Pointer
from kapelle.simulate.world import LATEST, World


def test_events_happen_in_the_order_of_their_time() -> None:
    world = World(1)
    seen: list[tuple[str, float]] = []
    for when, name in [(3.0, "c"), (1.0, "a"), (1.0, "b"), (9.0, "never")]:
        world.at(when, lambda name=name: seen.append((name, world.now)))  # type: ignore[misc]  # binds the name now
    world.run(5.0)
    assert seen == [("a", 1.0), ("b", 1.0), ("c", 3.0)]
    assert world.now == 5.0


def arrivals(world: World, count: int) -> tuple[list[int], list[int]]:
    arrived: list[int] = []
    lost: list[int] = []
    for number in range(count):
        world.send(partial(arrived.append, number), partial(lost.append, number))
    world.run(world.now + LATEST)
    return arrived, lost


def test_a_storm_loses_doubles_and_reorders_messages() -> None:
    arrived, lost = arrivals(World(1), 300)
    assert lost
    assert set(arrived) | set(lost) == set(range(300))
    assert len(arrived) > len(set(arrived)), "some come twice"
    assert arrived != sorted(arrived)


def test_in_the_calm_every_message_arrives_once_and_in_order() -> None:
    world = World(1)
    world.stormy = False
    assert arrivals(world, 300) == (list(range(300)), [])


def test_the_log_takes_each_number_once() -> None:
    world = World(1)
    assert world.head == Pointer(0, None)
    assert world.write(Pointer(1, "r1", author="a"))
    assert not world.write(Pointer(1, "r2", author="b"))
    assert not world.write(Pointer(3, "r2", author="b"))
    assert world.head.author == "a"


def test_a_violation_is_part_of_the_history() -> None:
    lines: list[str] = []
    world = World(1, lines.append)
    assert world.is_traced
    assert str(world.violated("two releases in one answer")) == "two releases in one answer (at 0.00 s)"
    assert lines == ["   0.00  VIOLATION: two releases in one answer"]

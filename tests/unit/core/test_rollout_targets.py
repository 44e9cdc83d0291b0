"""Who should hold what stays the same while processes come and go for a moment."""

from __future__ import annotations

from kapelle.core.rollout_fleet import Fleet
from kapelle.core.rollout_messages import WHOLE, Process, Report, Shape, Shards, Terms
from kapelle.core.rollout_targets import Targets

AFTER = Terms().reassign_after


def process(name: str, incarnation: int = 1) -> Process:
    return Process(name, "replica", "cluster", f"on-{name}", incarnation)


def fleet_of(**holds: Shards) -> tuple[Fleet, Targets]:
    fleet = Fleet()
    for name, held in holds.items():
        fleet.heard(Report(process(name), 1, holds={"r1": held} if held else {}), now=0.0)
    targets = Targets(fleet, Terms())
    targets.shapes["r1"] = Shape("r1", {"cluster": (10, 10, 10, 10), "encoder": ()})
    targets.shapes["r2"] = Shape("r2", {"cluster": (11, 11, 11, 11)})
    return fleet, targets


def assignment(targets: Targets, release: str = "r1", now: float = 0.0) -> dict[str, Shards]:
    return targets.assignment(release, "cluster", now, "r1")


def test_what_is_reported_is_where_it_begins() -> None:
    _, targets = fleet_of(a=frozenset({0, 3}), b=frozenset({1, 2}))
    assert assignment(targets) == {"a": {0, 3}, "b": {1, 2}}


def test_a_new_release_goes_where_the_current_one_is() -> None:
    _, targets = fleet_of(a=frozenset({0, 3}), b=frozenset({1, 2}))
    assert assignment(targets, "r2") == {"a": {0, 3}, "b": {1, 2}}


def test_a_dead_replica_keeps_its_place_for_a_while() -> None:
    fleet, targets = fleet_of(a=frozenset({0, 3}), b=frozenset({1, 2}))
    before = assignment(targets)
    fleet.replicas["cluster"][0].end(1.0)
    assert assignment(targets, now=1.0 + AFTER - 0.1) == before
    assert assignment(targets, now=1.0 + AFTER) == {"b": {0, 1, 2, 3}}


def test_a_process_that_has_not_spoken_yet_is_waited_for() -> None:
    fleet, targets = fleet_of(a=frozenset({0}))
    fleet.started(process("b"), now=0.0)
    assert assignment(targets) == {}
    assert assignment(targets, now=AFTER) == {"a": {0, 1, 2, 3}}


def test_a_replica_that_comes_back_late_is_asked_but_not_counted_on() -> None:
    fleet, targets = fleet_of(a=frozenset({0, 3}), b=frozenset({1, 2}))
    assignment(targets)
    fleet.replicas["cluster"][0].end(1.0)
    late = 1.0 + AFTER
    assert assignment(targets, now=late) == {"b": {0, 1, 2, 3}}
    fleet.heard(Report(process("a", 2), 1), now=late)
    assert assignment(targets, now=late) == {"b": {0, 1, 2, 3}}
    member = fleet.replicas["cluster"][0]
    assert len(targets.of("r1", member, late, "r1")) == 2
    member.troubled_since = None
    assert {name: len(held) for name, held in assignment(targets, now=late).items()} == {"a": 2, "b": 2}


def test_what_is_not_sharded_is_held_whole() -> None:
    fleet, targets = fleet_of()
    fleet.heard(Report(Process("encoder", "replica", "encoder", "here", 1), 1), now=0.0)
    fleet.heard(Report(Process("gateway", "gateway", "", "here", 1), 1), now=0.0)
    assert {member.process.name: targets.of("r1", member, 0.0, "r1") for member in fleet.alive()} == {
        "encoder": WHOLE,
        "gateway": WHOLE,
    }


def test_a_service_that_a_release_does_not_have_holds_nothing_of_it() -> None:
    fleet, targets = fleet_of()
    fleet.heard(Report(Process("encoder", "replica", "encoder", "here", 1), 1), now=0.0)
    (encoder,) = fleet.alive()
    assert targets.of("r2", encoder, 0.0, "r1") == frozenset()


def test_what_is_no_longer_wanted_is_forgotten() -> None:
    _, targets = fleet_of(a=frozenset({0, 3}), b=frozenset({1, 2}))
    before = assignment(targets)
    targets.forget(["r1"])
    assert assignment(targets) is before
    targets.forget([])
    assert assignment(targets) is not before

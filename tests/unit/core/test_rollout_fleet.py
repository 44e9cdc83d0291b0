"""Old news changes nothing; what a process may be dropping is not counted on."""

from __future__ import annotations

from kapelle.core.rollout_fleet import Asked, Fleet
from kapelle.core.rollout_messages import Prepare, Process, Report, Retire, Stamp


def process(incarnation: int = 1, name: str = "cluster-0") -> Process:
    return Process(name, "replica", "cluster", "here", incarnation)


def fleet_with(report: Report) -> Fleet:
    fleet = Fleet()
    assert fleet.heard(report, now=1.0)
    return fleet


HELD = {"r1": frozenset({0, 1})}


def test_an_older_report_is_dropped() -> None:
    fleet = fleet_with(Report(process(), 5, holds=HELD))
    assert not fleet.heard(Report(process(), 4), now=2.0)
    assert not fleet.heard(Report(process(), 5), now=2.0)
    assert fleet.replicas["cluster"][0].holds("r1") == {0, 1}


def test_a_report_of_a_dead_incarnation_is_dropped() -> None:
    fleet = fleet_with(Report(process(), 5, holds=HELD))
    member = fleet.find("cluster-0", 1)
    assert member is not None
    member.end(2.0)
    assert not fleet.heard(Report(process(), 6, holds=HELD), now=3.0)
    assert not list(fleet.alive())
    assert fleet.find("cluster-0", 1) is None


def test_a_new_incarnation_holds_nothing_of_the_old_one() -> None:
    fleet = fleet_with(Report(process(), 5, holds=HELD))
    assert fleet.started(process(2), now=7.0)
    (member,) = fleet.alive()
    assert member.holds("r1") == frozenset()
    assert member.troubled_since == 7.0
    assert not fleet.heard(Report(process(1), 9, holds=HELD), now=8.0)
    assert not fleet.started(process(1), now=8.0)


def test_what_comes_after_the_news_of_its_end_is_not_believed() -> None:
    fleet = Fleet()
    fleet.bury("cluster-0", 3)
    assert not fleet.heard(Report(process(3), 1, holds=HELD), now=1.0)
    assert not fleet.started(process(2), now=1.0)
    assert fleet.started(process(4), now=1.0)


def test_members_are_in_order_whoever_comes_first() -> None:
    fleet = Fleet()
    for name in ("cluster-2", "cluster-0", "cluster-1"):
        fleet.started(process(name=name), now=1.0)
    assert [member.process.name for member in fleet.alive()] == ["cluster-0", "cluster-1", "cluster-2"]


def test_what_it_was_told_to_drop_is_not_counted_on_until_it_has_heard() -> None:
    fleet = fleet_with(Report(process(), 1, epoch=3, heard={"r1": 7}, holds=HELD))
    (member,) = fleet.alive()
    member.ask(Retire, "r1", Asked(frozenset({1}), Stamp(3, 8), 1.0))
    assert member.keeps("r1") == {0}
    fleet.heard(Report(process(), 2, epoch=3, heard={"r1": 9}, holds=HELD), now=2.0)
    assert member.keeps("r1") == {0, 1}, "a newer order about r1 came first: that one is dead"


def test_an_order_to_drop_less_does_not_take_back_the_one_before() -> None:
    fleet = fleet_with(Report(process(), 1, epoch=3, heard={"r1": 7}, holds=HELD))
    (member,) = fleet.alive()
    member.ask(Retire, "r1", Asked(frozenset({0, 1}), Stamp(3, 8), 1.0))
    member.ask(Retire, "r1", Asked(frozenset({1}), Stamp(3, 9), 2.0))
    assert member.keeps("r1") == frozenset()
    fleet.heard(Report(process(), 2, epoch=3, heard={"r1": 8}, holds={"r1": frozenset({1})}), now=3.0)
    assert member.keeps("r1") == frozenset()


def test_an_order_to_drop_of_an_earlier_epoch_is_dead() -> None:
    fleet = fleet_with(Report(process(), 1, epoch=4, holds=HELD))
    (member,) = fleet.alive()
    member.ask(Retire, "r1", Asked(frozenset({1}), Stamp(3, 8), 1.0))
    assert member.keeps("r1") == {0, 1}
    assert member.obeys(4)
    assert not member.obeys(5)


def test_it_builds_until_it_has_all_that_it_was_told_to_have() -> None:
    fleet = fleet_with(Report(process(), 1))
    (member,) = fleet.alive()
    assert not member.was_building("r1")
    member.asked[Prepare, "r1"] = Asked(frozenset({0, 1}), Stamp(1, 1), 1.0)
    assert member.was_building("r1")
    fleet.heard(Report(process(), 2, holds=HELD), now=2.0)
    assert not member.was_building("r1")

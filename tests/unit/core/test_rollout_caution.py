"""Whoever loads what may kill him leaves others with all that he serves."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from kapelle.core.rollout_caution import provers
from kapelle.core.rollout_fleet import Member
from kapelle.core.rollout_messages import Process, Report, Shards

NOTHING: Shards = frozenset()
some_shards = st.frozensets(st.integers(0, 3), max_size=4)


@dataclass(frozen=True)
class Replica:
    """What one has of the old release and of the new, what it is loading, and what it should have."""

    old: Shards
    new: Shards
    wanted: Shards
    is_loading: bool


replicas = st.lists(
    st.builds(Replica, some_shards, some_shards, some_shards.filter(bool), st.just(value=False)), min_size=1, max_size=5
)


def members(fleet: list[Replica]) -> list[Member]:
    made = []
    for number, one in enumerate(fleet):
        process = Process(f"Finder-{number}", "replica", "Finder", "here", 1)
        member = Member(process, 0.0)
        holds = {release: shards for release, shards in (("r1", one.old), ("r2", one.new)) if shards}
        member.report = Report(process, 1, holds=holds, building=frozenset({"r2"} if one.is_loading else ()))
        made.append(member)
    return made


def allowed(fleet: list[Replica], *, is_whole: bool = True) -> set[int]:
    """The numbers of those that may load what they lack."""
    made = members(fleet)
    wanting = [(member, one.wanted) for member, one in zip(made, fleet, strict=True) if not one.wanted <= one.new]
    return {int(name.rpartition("-")[2]) for name in provers("r2", wanting, made, is_whole=is_whole)}


def proven(fleet: list[Replica]) -> Shards:
    return NOTHING.union(*(one.new for one in fleet))


@given(replicas, st.booleans())
def test_all_who_risk_something_may_die_at_once(fleet: list[Replica], is_whole: bool) -> None:
    at_risk = {number for number in allowed(fleet, is_whole=is_whole) if not fleet[number].wanted <= proven(fleet)}
    left = NOTHING.union(*(one.old for number, one in enumerate(fleet) if number not in at_risk))
    # Or a single one is at risk, of a fleet in which nobody can be spared.
    assert len(at_risk) == 1 or all(fleet[number].old <= left for number in at_risk)


@given(replicas)
def test_a_shard_that_one_holds_is_free_for_all(fleet: list[Replica]) -> None:
    free = {number for number, one in enumerate(fleet) if one.wanted <= proven(fleet) and not one.wanted <= one.new}
    assert free <= allowed(fleet, is_whole=False)


@given(replicas)
def test_step_by_step_everybody_comes_to_what_it_should_have(fleet: list[Replica]) -> None:
    for _ in range(2 * len(fleet)):
        for number in allowed(fleet):
            one = fleet[number]
            fleet[number] = Replica(one.old, one.new | one.wanted, one.wanted, is_loading=False)
    assert all(one.wanted <= one.new for one in fleet)


def test_of_two_copies_one_goes_first() -> None:
    pair = [Replica(frozenset({0}), NOTHING, frozenset({0}), is_loading=False)] * 2
    assert allowed(pair, is_whole=False) == {0}


def test_the_only_copy_waits_until_the_service_is_whole() -> None:
    alone = [Replica(frozenset({0}), NOTHING, frozenset({0}), is_loading=False)]
    assert allowed(alone, is_whole=False) == set()
    assert allowed(alone, is_whole=True) == {0}


def test_who_is_loading_already_is_at_risk() -> None:
    fleet = [
        Replica(frozenset({0}), NOTHING, frozenset({0}), is_loading=False),
        Replica(frozenset({0}), NOTHING, frozenset({1}), is_loading=True),
    ]
    assert allowed(fleet) == {1}, "the first is all that the second leaves"


def test_one_that_was_never_heard_of_has_nothing_to_lose() -> None:
    (member,) = members([Replica(NOTHING, NOTHING, frozenset({0}), is_loading=False)])
    member.report = None
    assert provers("r2", [(member, frozenset({0}))], [member], is_whole=False) == {"Finder-0"}

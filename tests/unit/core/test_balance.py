"""Calls go to the less busy of two, never to one that cannot take them, and to one that is tried anew one at a time."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
)

from kapelle.core.balance import Balancer, Candidate, Standing

NAMES = [f"replica-{number}" for number in range(6)]


def balancer_of(*outstanding: int, standing: Standing = Standing.READY) -> Balancer:
    balancer = Balancer()
    for name, count in zip(NAMES, outstanding, strict=False):
        candidate = Candidate(name, standing)
        candidate.outstanding = count
        balancer.add(candidate)
    return balancer


class BalancerMachine(RuleBasedStateMachine):
    """Replicas come, go, fail and recover while calls are picked and answered."""

    calls: Bundle[Candidate] = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.balancer = Balancer(seed=7)
        self.known: dict[str, Candidate] = {}

    @rule(name=st.sampled_from(NAMES), standing=st.sampled_from(Standing))
    def appear(self, name: str, standing: Standing) -> None:
        if name not in self.known:
            self.known[name] = Candidate(name, standing)
            self.balancer.add(self.known[name])

    @rule(name=st.sampled_from(NAMES))
    def vanish(self, name: str) -> None:
        self.balancer.remove(name)
        self.known.pop(name, None)

    @rule(name=st.sampled_from(NAMES), standing=st.sampled_from(Standing))
    def change(self, name: str, standing: Standing) -> None:
        if name in self.known:
            self.known[name].standing = standing
            self.balancer.refresh()

    @rule(target=calls, exclude=st.sets(st.sampled_from(NAMES), max_size=4), rows=st.integers(1, 5))
    def call(self, exclude: set[str], rows: int) -> Candidate | MultipleResults[Candidate]:
        ready = [one for one in self.known.values() if one.standing is Standing.READY]
        half_open = [one for one in self.known.values() if one.standing is Standing.HALF_OPEN]
        picked = self.balancer.pick(tuple(exclude))
        if picked is None:
            assert not ready
            assert not half_open
            return multiple()
        assert picked in ready or picked in half_open, "never one that cannot take it"
        fresh = [one for one in ready if one.name not in exclude]
        fresh_idle = [one for one in half_open if one.name not in exclude and not one.outstanding]
        if picked.name in exclude:
            assert not fresh, "one that had the call already only when there is no other"
            assert not fresh_idle
        if picked in half_open and ready:
            assert not picked.outstanding, "one call at a time while it is tried anew"
        draw = fresh or ready
        if picked in ready and len(draw) > 1:
            busier = [one for one in draw if one is not picked and one.outstanding >= picked.outstanding]
            assert busier, "of two the less busy, so never the busiest of all"
        picked.outstanding += rows
        return picked

    @rule(candidate=consumes(calls))
    def answer(self, candidate: Candidate) -> None:
        candidate.outstanding = max(0, candidate.outstanding - 1)

    @invariant()
    def counts_are_right(self) -> None:
        usable = [one for one in self.known.values() if one.standing is not Standing.UNREADY]
        assert self.balancer.usable == len(usable)
        assert list(self.balancer.candidates) == list(self.known.values())


TestBalancerMachine = BalancerMachine.TestCase
TestBalancerMachine.settings = settings(max_examples=60, stateful_step_count=40)


def test_nobody_is_picked_where_nobody_is() -> None:
    assert Balancer().pick() is None
    assert balancer_of(0, 0, standing=Standing.UNREADY).pick() is None


@given(first=st.integers(0, 9), second=st.integers(0, 9))
def test_of_two_the_less_busy_is_picked(first: int, second: int) -> None:
    picked = balancer_of(first, second).pick()
    assert picked is not None
    assert picked.outstanding == min(first, second)


@pytest.mark.parametrize("count", [2, 3, 5, 6])
@pytest.mark.parametrize("seed", [0, 1, 2, 3_000_000_000])
def test_equal_candidates_get_equal_shares(count: int, seed: int) -> None:
    balancer = Balancer(seed)
    for name in NAMES[:count]:
        balancer.add(Candidate(name, Standing.READY))
    shares = Counter(picked.name for _ in range(4000) if (picked := balancer.pick()) is not None)
    fair = 4000 / count
    assert all(0.85 * fair < shares[name] < 1.15 * fair for name in NAMES[:count])


def test_two_choices_keep_the_load_level() -> None:
    balancer = balancer_of(0, 0, 0, 0, 0, 0)
    for _ in range(600):
        picked = balancer.pick()
        assert picked is not None
        picked.outstanding += 1
    loads = [one.outstanding for one in balancer.candidates]
    assert max(loads) - min(loads) <= 6, "one choice at random would spread by some thirty"


def test_one_that_came_back_gets_a_single_call_and_the_rest_goes_elsewhere() -> None:
    balancer = balancer_of(3, 3)
    back = Candidate("back", Standing.HALF_OPEN)
    balancer.add(back)
    assert balancer.pick() is back
    back.outstanding = 1
    assert all(balancer.pick() is not back for _ in range(100))
    back.outstanding = 0
    assert balancer.pick() is back
    back.standing = Standing.READY
    balancer.refresh()
    back.outstanding = 50
    assert all(balancer.pick() is not back for _ in range(100)), "once it is trusted it is in the draw like all others"


def test_those_that_came_back_serve_when_nobody_else_is_there() -> None:
    balancer = balancer_of(4, 2, standing=Standing.HALF_OPEN)
    least = balancer.pick()
    assert least is not None
    assert least.name == NAMES[1]
    other = balancer.pick(exclude=(NAMES[1],))
    assert other is not None
    assert other.name == NAMES[0], "a busier one rather than one that had the call already"


def test_a_retry_goes_to_another_replica_if_there_is_one() -> None:
    assert {picked.name for _ in range(50) if (picked := balancer_of(0, 9).pick((NAMES[0],))) is not None} == {NAMES[1]}
    alone = balancer_of(0).pick((NAMES[0],))
    assert alone is not None


def test_removing_a_stranger_changes_nothing() -> None:
    balancer = balancer_of(0, 0)
    balancer.remove("stranger")
    assert balancer.usable == 2


def test_repr_shows_the_standing_of_all() -> None:
    balancer = balancer_of(0, 2)
    balancer.add(Candidate("back", Standing.HALF_OPEN))
    balancer.add(Candidate("gone"))
    assert repr(balancer) == "<Balancer 2 ready, 1 half-open, 4 in all>"
    assert [repr(one) for one in balancer.candidates][1:] == [
        "<replica-1 ready, 2 outstanding>",
        "<back half-open, 0 outstanding>",
        "<gone unready, 0 outstanding>",
    ]

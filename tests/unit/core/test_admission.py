"""Bounds hold, every place is given back, and a flooded endpoint leaves the others their part."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kapelle.core.admission import Admission, Lane


def flood(admission: Admission, lane: Lane, size: int) -> int:
    count = 0
    while admission.enter(lane, size):
        count += 1
    return count


class AdmissionMachine(RuleBasedStateMachine):
    """Requests of several endpoints come and go."""

    @initialize(lanes=st.integers(1, 4), max_count=st.integers(1, 24), max_bytes=st.integers(0, 400))
    def open(self, lanes: int, max_count: int, max_bytes: int) -> None:
        self.lanes = [Lane(f"/{number}") for number in range(lanes)]
        self.max_count = max_count
        self.max_bytes = max_bytes
        self.inside: list[tuple[Lane, int]] = []
        self.admission = Admission(self.lanes, max_count=max_count, max_bytes=max_bytes)

    @rule(number=st.integers(0, 3), size=st.integers(0, 120))
    def enter(self, number: int, size: int) -> None:
        lane = self.lanes[number % len(self.lanes)]
        shares = len(self.lanes)
        own_part = lane.count < self.max_count // 2 // shares and lane.bytes + size <= self.max_bytes // 2 // shares
        entered = self.admission.enter(lane, size)
        if own_part:
            assert entered, "an endpoint's own part is never taken by others"
        if entered:
            self.inside.append((lane, size))

    @precondition(lambda self: self.inside)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        self.admission.leave(*self.inside.pop(data.draw(st.integers(0, len(self.inside) - 1))))

    @invariant()
    def bounds_hold_and_books_balance(self) -> None:
        assert len(self.inside) == self.admission.in_flight <= self.max_count
        assert sum(size for _, size in self.inside) <= self.max_bytes
        for lane in self.lanes:
            own = [size for other, size in self.inside if other is lane]
            assert (lane.count, lane.bytes) == (len(own), sum(own))

    def teardown(self) -> None:
        for lane, size in self.inside:
            self.admission.leave(lane, size)
        fresh_lanes = [Lane(lane.name) for lane in self.lanes]
        fresh = Admission(fresh_lanes, max_count=self.max_count, max_bytes=self.max_bytes)
        assert self.admission.in_flight == 0
        for lane, fresh_lane in zip(self.lanes, fresh_lanes, strict=True):
            assert flood(self.admission, lane, 7) == flood(fresh, fresh_lane, 7), "all places are free again"


TestAdmissionMachine = AdmissionMachine.TestCase
TestAdmissionMachine.settings = settings(max_examples=60, stateful_step_count=40)


@pytest.mark.parametrize("size", [0, 10])
def test_one_endpoint_alone_may_use_everything(size: int) -> None:
    lane = Lane("/process")
    assert flood(Admission([lane], max_count=100, max_bytes=1000), lane, size) == 100


def test_a_flooded_endpoint_leaves_the_others_their_part() -> None:
    busy, other = Lane("/busy"), Lane("/other")
    admission = Admission([busy, other], max_count=100, max_bytes=10**6)
    assert flood(admission, busy, 1) == 75, "its own quarter and the shared half"
    assert flood(admission, other, 1) == 25
    assert admission.in_flight == 100


def test_large_bodies_of_one_endpoint_leave_the_others_their_bytes() -> None:
    busy, other = Lane("/busy"), Lane("/other")
    admission = Admission([busy, other], max_count=100, max_bytes=1000)
    assert flood(admission, busy, 250) == 3
    assert not admission.enter(other, 251)
    assert admission.enter(other, 250)


@given(max_count=st.integers(1, 10), lanes=st.integers(1, 10))
def test_with_few_places_the_bound_holds_and_each_endpoint_has_one_if_there_are_enough(
    max_count: int, lanes: int
) -> None:
    all_lanes = [Lane(str(number)) for number in range(lanes)]
    admission = Admission(all_lanes, max_count=max_count, max_bytes=10**6)
    admitted = [flood(admission, lane, 1) for lane in all_lanes]
    assert sum(admitted) == max_count
    if max_count >= lanes:
        assert min(admitted) >= 1


def test_no_endpoint_needs_no_places() -> None:
    assert Admission([], max_count=10, max_bytes=10).in_flight == 0


def test_repr_shows_what_a_lane_holds() -> None:
    lane = Lane("/process")
    Admission([lane], max_count=10, max_bytes=1000).enter(lane, 12)
    assert repr(lane) == "<Lane /process: 1 requests, 12 bytes>"

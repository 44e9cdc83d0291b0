"""Whatever the network does to orders, the last one that was given is the last one that is obeyed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kapelle.core.rollout_fence import Fence
from kapelle.core.rollout_messages import Stamp


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 9), st.sampled_from(["r1", "r2"]))))
def test_what_is_obeyed_never_goes_back(arrivals: list[tuple[int, int, str]]) -> None:
    fence = Fence()
    newest: dict[str, Stamp] = {}
    epoch = 0
    for arrived, number, release in arrivals:
        stamp = Stamp(arrived, number)
        admitted = fence.admits(stamp, release)
        assert admitted == (arrived >= epoch and stamp >= newest.get(release, stamp))
        if admitted:
            newest[release] = stamp
            epoch = arrived
    assert fence.epoch == epoch
    assert fence.heard == {release: stamp.number for release, stamp in newest.items() if stamp.epoch == epoch}


@pytest.mark.parametrize(
    ("stamp", "release", "admitted"),
    [
        (Stamp(2, 5), "r1", True),  # the same once more
        (Stamp(2, 4), "r1", False),
        (Stamp(2, 4), "r2", True),  # nothing newer was said about this one
        (Stamp(1, 9), "r2", False),
        (Stamp(3, 1), "r1", True),
    ],
)
def test_an_order_after_the_fifth_of_epoch_2(stamp: Stamp, release: str, admitted: bool) -> None:
    fence = Fence()
    assert fence.admits(Stamp(2, 5), "r1")
    assert fence.admits(stamp, release) is admitted

from __future__ import annotations

import pytest

from hop import WAYS, Times, play, table


@pytest.mark.parametrize(("array", "verdict"), [(180.0, "138: kept"), (220.0, "138: not kept")])
def test_what_the_array_costs_beyond_the_small_call_is_judged(array: float, verdict: str) -> None:
    rounds = [Times(50.0, array, 60.0), Times(10.0, array, 60.0), Times(90.0, array, 60.0)]
    assert table({"TCP": rounds}).splitlines()[2].endswith(f"| **{array - 50:.0f}** | 60 | {verdict} |")


@pytest.mark.parametrize("way", list(WAYS))
def test_every_way_brings_the_array_whole(way: str) -> None:
    # The app raises where the replica's answer is not that of the array it sent.
    times = play(WAYS[way], times=8)
    assert min(times.small, times.array, times.memcpy) > 0

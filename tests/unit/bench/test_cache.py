from __future__ import annotations

import pytest

from kapelle.bench.cache import lookup_time, pays_from, quickest_digest


def test_a_cache_pays_from_the_share_of_repeats_that_saves_what_all_look_ups_cost() -> None:
    assert pays_from(1e-4, 1e-3) == pytest.approx(0.1)


@pytest.mark.parametrize("request_time", [1e-4, 1e-5])
def test_a_cache_never_pays_where_looking_takes_longer_than_asking(request_time: float) -> None:
    assert pays_from(1e-4, request_time) is None


def test_more_bytes_take_longer() -> None:
    digest = quickest_digest(b"a")
    assert 0 < lookup_time(digest, b"a") < lookup_time(digest, bytes(10_000_000))

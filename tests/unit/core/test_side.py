"""Which requests fall aside: the share that was asked for, evenly, and the same ones everywhere."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kapelle.core.side import falls_aside

shares = st.floats(0, 1)


@given(share=shares, start=st.integers(0, 1 << 40), length=st.integers(50, 300))
def test_of_any_stretch_the_share_falls_aside(share: float, start: int, length: int) -> None:
    fallen = sum(falls_aside(share, number, b"") for number in range(start, start + length))
    assert abs(fallen - share * length) <= 6


@given(share=shares, key=st.binary(min_size=1), numbers=st.lists(st.integers(0), min_size=1))
def test_requests_of_a_key_fall_alike(share: float, key: bytes, numbers: list[int]) -> None:
    assert len({falls_aside(share, number, key) for number in numbers}) == 1


@given(key=st.binary(min_size=1), low=shares, high=shares)
def test_who_falls_aside_still_does_when_the_share_grows(key: bytes, low: float, high: float) -> None:
    low, high = sorted((low, high))
    assert falls_aside(high, 0, key) >= falls_aside(low, 0, key)


def test_none_and_all() -> None:
    keys = [b"", *(b"user %d" % number for number in range(50))]
    assert not any(falls_aside(0.0, number, key) for number, key in enumerate(keys))
    assert all(falls_aside(1.0, number, key) for number, key in enumerate(keys))


def test_of_many_keys_about_the_share_falls_aside() -> None:
    fallen = sum(falls_aside(0.2, 0, b"user %d" % number) for number in range(2000))
    assert 330 < fallen < 470

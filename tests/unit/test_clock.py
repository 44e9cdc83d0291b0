"""Durations as people write them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kapelle.clock import monotonic, seconds, steady, wall
from kapelle.errors import ConfigError


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("250us", 0.00025),
        ("2ms", 0.002),
        ("1.5s", 1.5),
        ("0s", 0.0),
        ("5m", 300.0),
        ("2h", 7200.0),
        (" 10 s ", 10.0),
        (3, 3.0),
        (0.25, 0.25),
        (0, 0.0),
    ],
)
def test_a_duration_in_seconds(written: str | float, expected: float) -> None:
    found = seconds(written)
    assert found == pytest.approx(expected)
    assert isinstance(found, float)


@pytest.mark.parametrize("written", ["", "10", "s", "1,5s", "-1s", "1 day", "1sec", "1s 2ms", "nan", True, None, [1]])
def test_what_is_no_duration(written: str | float) -> None:
    with pytest.raises(
        ConfigError, match="is not a duration; expected a number and one of us, ms, s, m, h, as in '250ms'"
    ):
        seconds(written)


@pytest.mark.parametrize("number", [-1, -0.001, float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_no_duration(number: float) -> None:
    with pytest.raises(ConfigError, match=r"a duration cannot be .*; expected 0 or more seconds"):
        seconds(number)


@given(number=st.integers(0, 10**6), unit=st.sampled_from(["us", "ms", "s", "m", "h"]))
def test_units_grow(number: int, unit: str) -> None:
    in_seconds = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}[unit]
    assert seconds(f"{number}{unit}") == pytest.approx(number * in_seconds)


def test_the_clocks_are_the_systems() -> None:
    before = time.time()
    assert before <= wall() <= time.time()
    assert monotonic() <= monotonic()


def test_a_clock_that_is_set_does_not_move_the_steady_one(monkeypatch: pytest.MonkeyPatch) -> None:
    before = steady()
    assert before == pytest.approx(time.time(), abs=60)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert before <= steady() <= before + 60

from __future__ import annotations

import pytest

from kapelle.bench.units import cost_text, parse_sizes, percent, rate_text, size_text, time_text
from kapelle.errors import ConfigError


def test_reads_sizes_in_any_order_and_once_each() -> None:
    assert parse_sizes("1MB, 1KB,100KB,1KB") == [1000, 100_000, 1_000_000]


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "'' is not a size"), ("1KB,", "'' is not a size"), ("many", "'many' is not a size"), ("1GB", "too large")],
)
def test_refuses_what_is_no_size(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_sizes(text)


@pytest.mark.parametrize(
    ("size", "text"), [(532, "532 B"), (1000, "1 KB"), (1500, "1.5 KB"), (55_300, "55 KB"), (10_000_000, "10 MB")]
)
def test_writes_sizes(size: int, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (2e-6, "2 µs"),
        (8.84e-6, "8.8 µs"),
        (123.4e-6, "123 µs"),
        (0.00123, "1.23 ms"),
        (0.012, "12.0 ms"),
        (0.371, "371 ms"),
        (0.9999, "1.00 s"),
        (12.34, "12.3 s"),
    ],
)
def test_writes_times_with_three_digits(seconds: float, text: str) -> None:
    assert time_text(seconds) == text


def test_writes_what_cannot_be_had() -> None:
    assert (cost_text(None), cost_text(1e-3)) == ("-", "1.00 ms")


def test_writes_rates_and_shares() -> None:
    assert [rate_text(one) for one in (12_345.6, 84.6, 3.21)] == ["12,346", "85", "3.2"]
    assert [percent(one) for one in (0.17, 0.995, 0.0082, 0.00012)] == ["17 %", "100 %", "0.82 %", "0.012 %"]

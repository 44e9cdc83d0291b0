"""One warning for each address and minute, and memory for so many addresses."""

from __future__ import annotations

from structlog.testing import capture_logs

from kapelle.transport import complaints
from kapelle.transport.complaints import Complaints


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_address_is_warned_about_once_a_minute() -> None:
    clock = Clock()
    refused = Complaints(clock)
    with capture_logs() as lines:
        for now in (0.0, 1.0, 59.9, 60.0, 61.0):
            clock.now = now
            refused.about("10.0.0.1", "no secret", "give it one")
            refused.about("10.0.0.2", "no secret", "give it one")
    assert [line["remote"] for line in lines] == ["10.0.0.1", "10.0.0.2"] * 2
    assert lines[0] == {
        "event": "a link was refused",
        "log_level": "warning",
        "remote": "10.0.0.1",
        "reason": "no secret",
        "next_step": "give it one",
    }


def test_the_latest_reason_is_known_even_where_it_is_not_told_again() -> None:
    refused = Complaints(Clock())
    assert refused.reason == ""
    with capture_logs() as lines:
        refused.about("10.0.0.1", "no secret", "give it one")
        refused.about("10.0.0.1", "another secret", "give it the same")
    assert refused.reason == "another secret; give it the same"
    assert len(lines) == 1


def test_many_addresses_take_no_more_memory_than_some() -> None:
    clock = Clock()
    refused = Complaints(clock)
    with capture_logs() as lines:
        for number in range(10_000):
            refused.about(str(number), "no secret", "give it one")
        clock.now = 60.0
        refused.about("the next", "no secret", "give it one")
    assert len(lines) == complaints._MOST_ADDRESSES + 1
    assert lines[-1]["remote"] == "the next"

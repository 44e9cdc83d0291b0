"""The access log says what happened without costing more than the requests."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from kapelle.observe.access import LINES_PER_SECOND, AccessLog

Lines = list[MutableMapping[str, Any]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    with capture_logs() as captured:
        yield captured


def write(log: AccessLog, count: int, status: int = 200) -> None:
    for number in range(count):
        log.write("POST", "/process", status, 0.0123456, f"request-{number}")


def test_a_line_per_request(lines: Lines) -> None:
    write(AccessLog(enabled=True), 1)
    assert lines == [
        {
            "event": "request",
            "log_level": "info",
            "method": "POST",
            "path": "/process",
            "status": 200,
            "ms": 12.35,
            "request": "request-0",
        }
    ]


def test_beyond_what_anybody_reads_they_are_counted(lines: Lines) -> None:
    log = AccessLog(enabled=True)
    log.flush(100.0)
    write(log, LINES_PER_SECOND + 7)
    assert len(lines) == LINES_PER_SECOND
    log.flush(100.9)
    assert len(lines) == LINES_PER_SECOND, "the second is not over"
    log.flush(101.0)
    assert lines[-1] == {"event": "more requests", "count": 7, "log_level": "info"}
    write(log, 1)
    assert lines[-1]["event"] == "request"
    log.flush(102.0)
    assert len(lines) == LINES_PER_SECOND + 2, "nothing was left out this time"


def test_an_error_of_the_server_always_has_its_line(lines: Lines) -> None:
    log = AccessLog(enabled=True)
    write(log, LINES_PER_SECOND)
    write(log, 5, status=503)
    write(log, 5, status=404)
    assert [line["status"] for line in lines[LINES_PER_SECOND:]] == [503] * 5


def test_it_can_be_switched_off(lines: Lines) -> None:
    log = AccessLog(enabled=False)
    write(log, 100, status=500)
    log.flush(1000.0)
    assert lines == []


def test_the_line_shows_the_calls_of_the_request(lines: Lines) -> None:
    way = [("Encoder.embed", "Encoder-1", 0.0021), ("Cluster.nearest", "Cluster-0", 0.0004)]
    AccessLog(enabled=True).write("POST", "/process", 200, 0.01, "r", way)
    assert lines[0]["calls"] == "Encoder.embed at Encoder-1 2.10 ms > Cluster.nearest at Cluster-0 0.40 ms"

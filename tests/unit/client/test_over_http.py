from __future__ import annotations

import httpx
import pytest

from kapelle.client.asking import Ask, Options
from kapelle.client.attempts import Course
from kapelle.client.over_http import PATIENCE, answer, failure, limits, request
from kapelle.client.terms import Terms
from kapelle.errors import CallError, ConfigError, ContractError, DeadlineExceeded, ReplicaLost, Unavailable

TERMS = Terms("http://gateway:8080/base", grpc=None, timeout="30s", retries=0, headers=None, trust=None)


def course(target: str = "/x", timeout: float | None = None) -> Course:
    ask: Ask[bytes] = Ask("POST", target, lambda answer: answer.body, b"body", options=Options(timeout=timeout))
    return TERMS.course(ask)


def test_a_request_has_the_time_that_is_left() -> None:
    with httpx.Client() as client:
        made = request(client, TERMS, course())
        assert (made.method, str(made.url), made.content) == ("POST", "http://gateway:8080/base/x", b"body")
        assert made.extensions["timeout"]["connect"] == PATIENCE
        assert 29 < made.extensions["timeout"]["read"] <= 30
        short = request(client, TERMS, course(timeout=2)).extensions["timeout"]
        assert max(short.values()) <= 2
        with pytest.raises(DeadlineExceeded):
            request(client, TERMS, course(timeout=0))
        with pytest.raises(ConfigError, match="is no address"):
            request(client, TERMS, course("/\x00"))


def test_headers_are_ascii() -> None:
    ask: Ask[bytes] = Ask("GET", "/", lambda answer: answer.body, options=Options(headers={"X-Name": "Größe"}))
    with httpx.Client() as client, pytest.raises(ConfigError, match="headers are ASCII; 'Größe' is not"):
        request(client, TERMS, TERMS.course(ask))


def test_without_a_deadline_only_connecting_has_one() -> None:
    terms = Terms("http://gateway:8080", grpc=None, timeout=None, retries=0, headers=None, trust=None)
    with httpx.Client() as client:
        ask: Ask[bytes] = Ask("GET", "/", lambda answer: answer.body)
        made = request(client, terms, terms.course(ask))
    assert made.extensions["timeout"] == {"connect": PATIENCE, "read": None, "write": None, "pool": None}


@pytest.mark.parametrize(
    ("error", "kind", "reached"),
    [
        (httpx.ConnectError("refused"), Unavailable, False),
        (httpx.ConnectTimeout(""), Unavailable, False),
        (httpx.PoolTimeout(""), DeadlineExceeded, False),
        (httpx.ReadTimeout(""), DeadlineExceeded, True),
        (httpx.WriteTimeout(""), DeadlineExceeded, True),
        (httpx.ReadError("reset"), ReplicaLost, True),
        (httpx.WriteError("reset"), ReplicaLost, True),
        (httpx.RemoteProtocolError("garbage"), ReplicaLost, True),
        (httpx.LocalProtocolError("bad header"), CallError, True),
        (httpx.DecodingError("no gzip"), ContractError, True),
    ],
)
def test_errors(error: httpx.RequestError, kind: type, reached: bool) -> None:
    found = failure(error, course(), TERMS)
    assert (type(found.error), found.reached) == (kind, reached)


def test_a_connection_that_cannot_be_made_says_where_and_what_next() -> None:
    detail = failure(httpx.ConnectError("refused"), course(), TERMS).error.detail
    assert detail == (
        "no connection to http://gateway:8080/base: refused; see that a gateway listens there (`kapelle serve`)"
    )


def test_answers_and_limits() -> None:
    found = answer(httpx.Response(201, headers={"X-A": "1"}), b"body")
    assert (found.status, found.headers["x-a"], found.body) == (201, "1", b"body")
    assert limits(7).max_connections == limits(7).max_keepalive_connections == 7

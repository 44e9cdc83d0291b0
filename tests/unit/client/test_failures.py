from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kapelle import errors
from kapelle.client.asking import Answer
from kapelle.client.failures import BY_STATUS, in_stream, noted, placed, refusal
from kapelle.gateway.problems import STATUS, problem
from kapelle.gateway.protocols.refusals import protocol_refusal

ERRORS: list[errors.CallError] = [
    errors.InvalidInput("not a number", path="$.a[0]"),
    errors.TooLarge("too much"),
    errors.Overloaded("full", retry_after=3),
    errors.Unavailable("nobody", retry_after=2),
    errors.DeadlineExceeded("late"),
    errors.ReplicaLost("gone"),
    errors.ContractError("something else"),
    errors.CallError("ended"),
]


def answer(status: int, headers: tuple[tuple[bytes, bytes], ...], body: bytes) -> Answer:
    return Answer(status, {name.decode(): value.decode() for name, value in headers}, body)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
def test_what_a_gateway_tells_is_what_was_raised(error: errors.CallError) -> None:
    status, headers, body = problem(error, "r-1")
    found = refusal(answer(status, headers, body))
    assert (type(found), found.detail, found.extra) == (type(error), error.detail, error.extra)


def test_user_code_is_not_described() -> None:
    found = refusal(answer(*problem(errors.UserCodeError("secret", traceback="secret"), "r-1")))
    assert type(found) is errors.UserCodeError
    assert "secret" not in found.detail + found.extra


@pytest.mark.parametrize("error", ERRORS[:6], ids=lambda error: error.code)
def test_the_inference_protocol_has_a_status_and_a_text(error: errors.CallError) -> None:
    if isinstance(error, errors.InvalidInput):
        error = errors.InvalidInput("not a number", path="inputs[0].data")
    status, (_, body, headers) = protocol_refusal(error, "r-1")
    found = refusal(answer(status, headers, body))
    assert (type(found), found.detail, found.extra) == (type(error), error.detail, error.extra)


def test_openai_has_a_form_of_its_own() -> None:
    body = b'{"error":{"message":"no text","type":"invalid_request_error","param":"input[1]","code":"invalid-input"}}'
    found = refusal(Answer(400, {}, body))
    assert isinstance(found, errors.InvalidInput)
    assert (found.detail, found.path) == ("no text", "input[1]")


def test_statuses_mean_what_they_mean_to_a_gateway() -> None:
    mapped: dict[int, Any] = {status: kind for kind, status in STATUS.items() if status != 500}
    assert {status: kind for status, kind in BY_STATUS.items() if status != 400} == mapped


@pytest.mark.parametrize(
    ("status", "kind", "body", "told"),
    [
        (404, errors.CallError, b'{"type":"urn:kapelle:error:not-found","detail":"nothing there"}', "nothing there"),
        (400, errors.InvalidInput, b'{"type":"urn:kapelle:error:malformed-body","detail":"no JSON"}', "no JSON"),
        (502, errors.ReplicaLost, b"<html>", "the server answered 502 Bad Gateway with 6 bytes of no type"),
        (503, errors.Unavailable, b"", "the server answered 503 Service Unavailable with 0 bytes"),
        (599, errors.CallError, b"[1]", "the server answered 599 with 3 bytes"),
        (503, errors.Overloaded, b'{"type":"urn:kapelle:error:overloaded","detail":"full"}', "full"),
    ],
)
def test_others_are_told_by_their_status(status: int, kind: type, body: bytes, told: str) -> None:
    found = refusal(Answer(status, {}, body))
    assert type(found) is kind
    assert found.detail.startswith(told)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("inputs[0].shape: wrong", ("inputs[0].shape", "wrong")),
        ("parameters.shard: missing", ("parameters.shard", "missing")),
        ("$.rows[2]: too dark", ("$.rows[2]", "too dark")),
        ("$5: too dear", ("$", "$5: too dear")),
        ("it failed: badly", ("$", "it failed: badly")),
    ],
)
def test_the_place_stands_first(text: str, found: tuple[str, str]) -> None:
    assert placed(text) == found


def test_notes_leave_the_error_what_it_is() -> None:
    found = noted(errors.Overloaded("full", retry_after=4), "request 1", "2 attempts")
    assert isinstance(found, errors.Overloaded)
    assert (found.detail, found.retry_after) == ("full (request 1, 2 attempts)", 4)


@pytest.mark.parametrize("value", ["soon", "-5", "nan", "1e9", "\u0663", "Wed, 21 Oct 2015 07:28:00 GMT", ""])
def test_no_number_of_seconds_is_a_second(value: str) -> None:
    found = refusal(Answer(429, {"retry-after": value}, b""))
    assert isinstance(found, errors.Overloaded)
    assert found.retry_after == 1


def test_errors_of_streams() -> None:
    _, _, body = problem(errors.ReplicaLost("it died"), "r-1")
    assert isinstance(in_stream(body), errors.ReplicaLost)
    assert type(in_stream(b"garbage")) is errors.CallError


@given(st.integers(100, 599), st.one_of(st.binary(), st.recursive(
    st.none() | st.booleans() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["error", "type", "detail", "errors", "path"]), inner),
).map(msgspec.json.encode)))  # fmt: skip
def test_whatever_comes_is_an_error_of_ours(status: int, body: bytes) -> None:
    found = refusal(Answer(status, {"retry-after": "soon"}, body))
    assert isinstance(found, errors.CallError)
    assert isinstance(in_stream(body), errors.CallError)
    assert found.detail

"""The table of statuses, and problem bodies that say what helps and nothing else."""

from __future__ import annotations

import math

import msgspec
import pytest

import kapelle
from kapelle import errors
from kapelle.gateway.problems import STATUS, HttpError, overloaded, problem, status_of, ungrouped


def test_every_error_of_a_call_has_a_status() -> None:
    ends_of_calls = {
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.CallError)
    }
    assert ends_of_calls - set(STATUS) == {errors.Cancelled}, "which no client is there to be told of"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (kapelle.InvalidInput(), 422),
        (errors.TooLarge(), 413),
        (kapelle.Overloaded(), 429),
        (kapelle.Unavailable(), 503),
        (kapelle.DeadlineExceeded(), 504),
        (kapelle.ReplicaLost(), 502),
        (kapelle.UserCodeError(), 500),
        (kapelle.ContractError(), 500),
        (errors.WireError(), 500),
        (ValueError(), 500),
        (HttpError(418, "short and stout"), 418),
        (type("Own", (kapelle.InvalidInput,), {})(), 422),
    ],
)
def test_statuses(error: BaseException, status: int) -> None:
    assert status_of(error) == status
    told, _, body = problem(error, "id")
    assert told == msgspec.json.decode(body)["status"] == status


def test_a_body_has_what_the_standard_names() -> None:
    status, headers, body = problem(kapelle.InvalidInput("expected text", path="$.a[1]"), "id-1")
    assert (status, headers) == (422, ())
    assert msgspec.json.decode(body) == {
        "type": "urn:kapelle:error:invalid-input",
        "title": "Unprocessable Content",
        "status": 422,
        "detail": "expected text",
        "errors": [{"path": "$.a[1]", "detail": "expected text"}],
        "request_id": "id-1",
    }


@pytest.mark.parametrize(
    "error", [ValueError("secret"), KeyError("secret"), kapelle.UserCodeError("ValueError: secret", traceback="secret")]
)
def test_exceptions_of_users_are_not_told(error: Exception) -> None:
    assert b"secret" not in problem(error, "id")[2]


@pytest.mark.parametrize(
    ("seconds", "header"),
    [(0.0, b"1"), (0.2, b"1"), (1.0, b"1"), (2.1, b"3"), (math.inf, b"1"), (math.nan, b"1"), ("soon", b"1")],
)
def test_when_to_come_back(seconds: float, header: bytes) -> None:
    for error in (kapelle.Overloaded(retry_after=seconds), kapelle.Unavailable(retry_after=seconds)):
        assert problem(error, "id")[1] == ((b"retry-after", header),)
    assert problem(overloaded(503, "too many"), "id")[1] == ((b"retry-after", b"1"),)


def test_of_calls_that_failed_side_by_side_the_first_is_told() -> None:
    first, second, other = kapelle.Overloaded("full"), kapelle.InvalidInput("bad"), ValueError("own")
    assert ungrouped(first) is first
    assert ungrouped(other) is other
    assert ungrouped(ExceptionGroup("", [ExceptionGroup("", [first]), second])) is first
    mixed = ExceptionGroup("", [first, other])
    assert ungrouped(mixed) is mixed, "what the app's own code raised is not hidden"


def test_headers_of_refusals_are_passed_on() -> None:
    assert problem(HttpError(405, "no", headers=((b"allow", b"GET"),)), "id")[1] == ((b"allow", b"GET"),)


class Bare(kapelle.InvalidInput):
    """One that was never told what it is about."""

    def __init__(self) -> None:
        pass


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (kapelle.InvalidInput("no file \udcff", path="$.\udcff"), "no file ?"),
        (kapelle.InvalidInput(7), "7"),  # type: ignore[arg-type]  # that is what is wrong
        (Bare(), ""),
    ],
)
def test_errors_of_ours_that_are_made_wrongly_are_told_all_the_same(error: Exception, detail: str) -> None:
    status, _, body = problem(error, "id")
    assert (status, msgspec.json.decode(body)["detail"]) == (422, detail)

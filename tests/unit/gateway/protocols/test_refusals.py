"""Errors in the protocol's one form."""

from __future__ import annotations

import msgspec
import pytest

from kapelle.errors import CallError, InvalidInput, Overloaded, Unavailable, UserCodeError
from kapelle.gateway.problems import HttpError
from kapelle.gateway.protocols.refusals import protocol_refusal


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (InvalidInput("expected more", path="inputs[0].shape"), 400, "inputs[0].shape: expected more"),
        (InvalidInput("expected more"), 400, "expected more"),
        (HttpError(404, "unknown model 'x'"), 404, "unknown model 'x'"),
        (Overloaded("full", retry_after=2), 429, "full"),
        (Unavailable("nobody"), 503, "nobody"),
        (UserCodeError("ValueError: secret", "traceback"), 500, "a service failed; the log has the reason"),
        (ValueError("secret"), 500, "the application failed; the log has the reason"),
        (CallError("other"), 500, "other"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_an_error_is_a_status_and_a_text(error: Exception, status: int, text: str) -> None:
    found, (kind, body, _) = protocol_refusal(error, "id-1")
    assert (found, kind) == (status, b"application/json")
    told = msgspec.json.decode(body)
    assert list(told) == ["error"]
    assert told["error"].startswith(text)
    assert "secret" not in told["error"]


def test_who_is_told_to_wait_is_told_how_long() -> None:
    assert protocol_refusal(Overloaded("full", retry_after=2), "id")[1][2] == ((b"retry-after", b"2"),)

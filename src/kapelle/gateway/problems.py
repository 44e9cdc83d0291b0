"""Errors as HTTP answers: the one table from error classes to statuses, and problem bodies (RFC 9457)."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Any

import msgspec

from kapelle import errors

STATUS: dict[type[BaseException], int] = {
    errors.InvalidInput: 422,
    errors.TooLarge: 413,
    errors.Overloaded: 429,
    errors.Unavailable: 503,
    errors.DeadlineExceeded: 504,
    errors.ReplicaLost: 502,
    errors.UserCodeError: 500,
    errors.ContractError: 500,
    errors.CallError: 500,
}
"""What each error is to a client; the nearest class in the error's ancestry counts, and anything else is 500."""

PHRASES = {status.value: status.phrase for status in HTTPStatus} | {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}
"""What statuses are called, by RFC 9110; before Python 3.13 `http` has older names for four of them."""

CLIENT_GONE = 499
"""Counted and logged for requests whose client went away; nginx taught people to read it."""

PROBLEM_TYPE = b"application/problem+json"

_encode = msgspec.json.Encoder().encode


class HttpError(Exception):
    """A request that HTTP itself refuses: no route, a malformed head, a body that is too large."""

    def __init__(
        self, status: int, detail: str, *, code: str = "http", headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.code = code
        self.headers = headers


def overloaded(status: int, detail: str) -> HttpError:
    """A refusal for lack of room, before the request is known well enough to be one of an endpoint."""
    return HttpError(status, detail, code=errors.Overloaded.code, headers=((b"retry-after", b"1"),))


def status_of(error: BaseException) -> int:
    """The HTTP status for an error."""
    if isinstance(error, HttpError):
        return error.status
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def problem(error: BaseException, request_id: str) -> tuple[int, tuple[tuple[bytes, bytes], ...], bytes]:
    """Status, extra headers and body that tell a client about ``error``.

    Exceptions of the app's and the services' own code are not described: their text may hold anything. The log has them
    by request id.
    """
    status = status_of(error)
    code, detail = explained(error)
    body: dict[str, Any] = {
        "type": f"urn:kapelle:error:{code}",
        "title": PHRASES[status],
        "status": status,
        "detail": detail,
    }
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if isinstance(error, HttpError):
        headers = error.headers
    elif isinstance(error, errors.InvalidInput):
        body["errors"] = [{"path": errors.plain(getattr(error, "path", "$")), "detail": detail}]
    elif isinstance(error, errors.Overloaded | errors.Unavailable):
        headers = ((b"retry-after", _whole(getattr(error, "retry_after", 1.0))),)
    body["request_id"] = request_id
    return status, headers, _encode(body)


def explained(error: BaseException) -> tuple[str, str]:
    """The name and the text of ``error`` that a client may see."""
    if isinstance(error, errors.UserCodeError):
        return error.code, "a service failed; the log has the reason under this request id"
    if isinstance(error, HttpError | errors.CallError):
        return error.code, errors.plain(getattr(error, "detail", ""))
    return "internal", "the application failed; the log has the reason under this request id"


def ungrouped(error: BaseException) -> BaseException:
    """Of calls that failed side by side, as in an ``asyncio.TaskGroup``, the first; any other error as it is."""
    members = _members(error)
    return members[0] if all(isinstance(one, errors.CallError) for one in members) else error


def _members(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [member for one in error.exceptions for member in _members(one)]
    return [error]


def _whole(seconds: float) -> bytes:
    """Seconds as HTTP writes them; 1 for what is no time that anybody could wait: the app's code may say anything."""
    try:
        return b"%d" % max(1, math.ceil(seconds))
    except (TypeError, ValueError, OverflowError):
        return b"1"

"""What httpx needs of us and tells us: requests, time-outs, and its errors as ours."""

from __future__ import annotations

import httpx

from kapelle.client.asking import Answer, Failure
from kapelle.client.attempts import Course
from kapelle.client.terms import Terms
from kapelle.errors import CallError, ConfigError, ContractError, DeadlineExceeded, ReplicaLost, Unavailable

PATIENCE = 5.0
"""Seconds that one connection may take; what is longer is tried again while there is time."""
KEPT = 60.0
"""Seconds that an idle connection is kept: shorter than a gateway does, so that it is rarely closed as it is used."""

Client = httpx.Client | httpx.AsyncClient


def limits(connections: int) -> httpx.Limits:
    """How many connections there may be, all of them kept for the next request."""
    return httpx.Limits(max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=KEPT)


def request(client: Client, terms: Terms, course: Course) -> httpx.Request:
    """The request of the next attempt.

    Raises:
        CallError: the client is closed, or belongs elsewhere.
        ConfigError: it has no address, or headers that cannot be sent.
        DeadlineExceeded: it comes too late.
    """
    terms.check_open()
    ask, patience = course.ask, course.begin()
    timeout = httpx.Timeout(patience, connect=PATIENCE if patience is None else min(patience, PATIENCE))
    try:
        return client.build_request(
            ask.method, terms.base + ask.target, headers=course.headers, content=ask.body or None, timeout=timeout
        )
    except httpx.InvalidURL as error:
        raise ConfigError(f"{terms.base + ask.target!r} is no address: {error}") from None
    except UnicodeEncodeError as error:
        raise ConfigError(f"headers are ASCII; {error.object!r} is not") from None


def answer(response: httpx.Response, body: bytes) -> Answer:
    """A response whose body was read."""
    return Answer(response.status_code, {name.lower(): value for name, value in response.headers.items()}, body)


def failure(error: httpx.RequestError | httpx.StreamError, course: Course, terms: Terms) -> Failure:
    """What went wrong with an attempt."""
    reached = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    return Failure(_told(error, course, terms), reached)


def _told(error: Exception, course: Course, terms: Terms) -> CallError:
    reason = str(error) or type(error).__name__
    if isinstance(error, httpx.TimeoutException):
        return _late(error, course, terms)
    match error:
        case httpx.ConnectError() | httpx.ProxyError():
            told = f"no connection to {terms.base}: {reason}; see that a gateway listens there (`kapelle serve`)"
            return Unavailable(told, retry_after=0)
        case httpx.DecodingError():
            return ContractError(f"the answer is not in the encoding that it names: {reason}")
        case httpx.LocalProtocolError():
            return CallError(f"the request is not HTTP: {reason}")
        case _:
            return ReplicaLost(f"the connection to {terms.base} broke before the answer was whole: {reason}")


def _late(error: httpx.TimeoutException, course: Course, terms: Terms) -> CallError:
    if isinstance(error, httpx.PoolTimeout):
        return DeadlineExceeded("all connections of this client were busy; give it more (connections=)")
    if isinstance(error, httpx.ConnectTimeout) and course.left > 0:
        return Unavailable(f"{terms.base} did not take the connection in time", retry_after=0)
    return course.late()

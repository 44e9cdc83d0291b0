"""What gRPC needs of us and tells us: channels, metadata, and its errors as ours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from kapelle.client.asking import Answer, Failure
from kapelle.client.attempts import Course
from kapelle.client.failures import BY_STATUS, placed
from kapelle.client.terms import Terms
from kapelle.errors import (
    CallError,
    DeadlineExceeded,
    InvalidInput,
    Overloaded,
    ReplicaLost,
    TooLarge,
    Unavailable,
)
from kapelle.oip.grpc_messages import SERVICE, STATUS
from kapelle.tasks import is_stopped

OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A gateway that is back is found within a second. gRPC's own waits between two attempts to connect grow to two
    # minutes, and calls are refused for as long without being tried.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
# Those are HTTP's own; gRPC has its own in their place.
_NOT_METADATA = frozenset({"user-agent", "content-type", "content-length", "host", "connection"})
_REFUSED = (429, 503)
_KINDS: dict[grpc.StatusCode, type[CallError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidInput,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    grpc.StatusCode.UNAVAILABLE: ReplicaLost,  # perhaps while it was worked on
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.CANCELLED: ReplicaLost,  # what comes to a server of grpcio just when it ends is answered so
}
_UNMADE = ("failed to connect", "Connection refused", "DNS resolution failed", "errors resolving")


def channel(terms: Terms) -> grpc.Channel:
    """A channel for threads."""
    if not terms.tls:
        return grpc.insecure_channel(terms.grpc, OPTIONS)
    return grpc.secure_channel(terms.grpc, grpc.ssl_channel_credentials(terms.trusted), OPTIONS)


def async_channel(terms: Terms) -> grpc.aio.Channel:
    """A channel for tasks."""
    if not terms.tls:
        return grpc.aio.insecure_channel(terms.grpc, OPTIONS)
    return grpc.aio.secure_channel(terms.grpc, grpc.ssl_channel_credentials(terms.trusted), OPTIONS)


def attempt(channel: grpc.Channel, course: Course, terms: Terms) -> Answer | Failure:
    """One attempt, in a thread."""
    invoke: Callable[..., bytes] = channel.unary_unary(_method(course))
    try:
        return Answer(200, {}, invoke(course.ask.body, **_arguments(course)))
    except grpc.RpcError as error:
        return failure(error, course, terms)


async def async_attempt(channel: grpc.aio.Channel, course: Course, terms: Terms) -> Answer | Failure:
    """One attempt, in a task."""
    invoke: Callable[..., Awaitable[bytes]] = channel.unary_unary(_method(course))
    try:
        return Answer(200, {}, await invoke(course.ask.body, **_arguments(course)))
    except grpc.aio.AioRpcError as error:
        return failure(error, course, terms)
    except asyncio.CancelledError:
        if is_stopped():
            raise
        # Nobody cancelled the task: this is how a channel that is closed ends its calls.
        return Failure(ReplicaLost("this client was closed before the answer came"), reached=True)


def failure(error: Any, course: Course, terms: Terms) -> Failure:
    """What went wrong with an attempt; ``error`` is a ``grpc.RpcError``, which has a code and a text."""
    code, detail = error.code(), error.details() or ""
    if code == grpc.StatusCode.UNAVAILABLE and any(one in detail for one in _UNMADE):
        told = f"no connection to {terms.grpc}: {detail}; see that a gateway serves gRPC there (pip install 'kapelle[grpc]')"
        return Failure(Unavailable(told, retry_after=0), reached=False)
    if code == grpc.StatusCode.DEADLINE_EXCEEDED and course.left <= 0:
        return Failure(course.late(), reached=True)
    status = _status(error)
    if status in BY_STATUS:
        return Failure(_made(BY_STATUS[status], detail), reached=status not in _REFUSED)
    return Failure(_told(code, detail), reached=True)


def _told(code: grpc.StatusCode, detail: str) -> CallError:
    """The error where no gateway of ours tells of it: gRPC itself, a proxy, another server."""
    if code == grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in detail:
        return TooLarge(detail)
    kind = _KINDS.get(code)
    return _made(kind, detail) if kind is not None else CallError(f"{code.name}: {detail}")


def _made(kind: type[CallError], detail: str) -> CallError:
    if kind is not InvalidInput:
        return kind(detail)
    path, text = placed(detail)
    return InvalidInput(text, path=path)


def _status(error: Any) -> int:
    """What HTTP would have answered; 0 where it is not told."""
    given = next((value for key, value in error.trailing_metadata() or () if key == STATUS), "")
    return int(given) if given.isdecimal() else 0


def _method(course: Course) -> str:
    return f"/{SERVICE}/{course.ask.target}"


def _arguments(course: Course) -> dict[str, Any]:
    metadata = tuple((name, value) for name, value in course.headers.items() if name not in _NOT_METADATA)
    return {"timeout": course.begin(), "metadata": metadata}

"""What gRPC needs of us and tells us: channels, metadata, and its errors as ours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from kapelle.client.asking import Answer, Failure
from kapelle.client.attempts import Course
from kapelle.client.failures import placed
from kapelle.client.terms import Terms
from kapelle.errors import (
    CallError,
    Cancelled,
    DeadlineExceeded,
    InvalidInput,
    Overloaded,
    TooLarge,
    Unavailable,
)
from kapelle.oip.grpc_messages import SERVICE

OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
# Those are HTTP's own; gRPC has its own in their place.
_NOT_METADATA = frozenset({"user-agent", "content-type", "content-length", "host", "connection"})
_KINDS: dict[grpc.StatusCode, type[CallError]] = {
    grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.CANCELLED: Cancelled,
}
_UNMADE = ("failed to connect", "Connection refused", "DNS resolution failed")


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


def failure(error: Any, course: Course, terms: Terms) -> Failure:
    """What went wrong with an attempt; ``error`` is a ``grpc.RpcError``, which has a code and a text."""
    code, detail = error.code(), error.details() or ""
    if code == grpc.StatusCode.UNAVAILABLE and any(one in detail for one in _UNMADE):
        told = f"no connection to {terms.grpc}: {detail}; see that a gateway serves gRPC there (pip install 'kapelle[grpc]')"
        return Failure(Unavailable(told, retry_after=0), reached=False)
    if code == grpc.StatusCode.DEADLINE_EXCEEDED and course.left <= 0:
        return Failure(course.late(), reached=True)
    # Refusals have not been worked on; a replica that was lost has the code of one that is not there.
    return Failure(_told(code, detail), reached=code != grpc.StatusCode.RESOURCE_EXHAUSTED)


def _told(code: grpc.StatusCode, detail: str) -> CallError:
    if code == grpc.StatusCode.INVALID_ARGUMENT:
        path, text = placed(detail)
        return InvalidInput(text, path=path)
    if code == grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in detail:
        return TooLarge(detail)
    kind = _KINDS.get(code)
    return kind(detail) if kind is not None else CallError(f"{code.name}: {detail}")


def _method(course: Course) -> str:
    return f"/{SERVICE}/{course.ask.target}"


def _arguments(course: Course) -> dict[str, Any]:
    metadata = tuple((name, value) for name, value in course.headers.items() if name not in _NOT_METADATA)
    return {"timeout": course.begin(), "metadata": metadata}

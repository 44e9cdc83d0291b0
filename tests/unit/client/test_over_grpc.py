from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from kapelle.client.asking import Answer, Ask, Failure, Options
from kapelle.client.attempts import Course
from kapelle.client.over_grpc import async_attempt, async_channel, attempt, channel, failure
from kapelle.client.terms import Terms
from kapelle.clock import monotonic
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
from tests.certificates import make_certificate

CODE = grpc.StatusCode


class Refusal(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode, detail: str, status: str | None = None) -> None:
        self._code, self._detail = code, detail
        self._trailing = None if status is None else (("other", "1"), (STATUS, status))

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._detail

    def trailing_metadata(self) -> Any:
        return self._trailing


def terms(address: str = "grpc://gateway:8081", trust: Path | None = None) -> Terms:
    return Terms(address, grpc=None, timeout="30s", retries=0, headers={"X-A": "1"}, trust=trust)


def course(timeout: float | None = None) -> Course:
    ask: Ask[bytes] = Ask(
        "POST", "ModelInfer", lambda answer: answer.body, b"asked", options=Options(timeout=timeout), rpc=True
    )
    return terms().course(ask)


@pytest.mark.parametrize(
    ("code", "detail", "kind", "reached"),
    [
        (CODE.INVALID_ARGUMENT, "inputs[0]: wrong", InvalidInput, True),
        (CODE.RESOURCE_EXHAUSTED, "full", Overloaded, True),
        (CODE.RESOURCE_EXHAUSTED, "Received message larger than max (5 vs. 4)", TooLarge, True),
        (CODE.UNAVAILABLE, "Socket closed", ReplicaLost, True),
        (CODE.UNAVAILABLE, "failed to connect to all addresses", Unavailable, False),
        (CODE.UNAVAILABLE, "errors resolving a:1: [field:hostname lookup error:...]", Unavailable, False),
        (CODE.DEADLINE_EXCEEDED, "late", DeadlineExceeded, True),
        (CODE.CANCELLED, "gone", ReplicaLost, True),
        (CODE.INTERNAL, "it failed", CallError, True),
        (CODE.NOT_FOUND, "no such model", CallError, True),
    ],
)
def test_errors(code: grpc.StatusCode, detail: str, kind: type, reached: bool) -> None:
    found = failure(Refusal(code, detail), course(), terms())
    assert (type(found.error), found.reached) == (kind, reached)


@pytest.mark.parametrize(
    ("code", "status", "kind", "reached"),
    [
        (CODE.UNAVAILABLE, "503", Unavailable, False),
        (CODE.UNAVAILABLE, "502", ReplicaLost, True),
        (CODE.RESOURCE_EXHAUSTED, "429", Overloaded, False),
        (CODE.INVALID_ARGUMENT, "413", TooLarge, True),
        (CODE.INVALID_ARGUMENT, "400", InvalidInput, True),
        (CODE.INTERNAL, "500", CallError, True),
        (CODE.UNAVAILABLE, "what", ReplicaLost, True),
    ],
)
def test_a_gateway_tells_more_than_the_code(code: grpc.StatusCode, status: str, kind: type, reached: bool) -> None:
    found = failure(Refusal(code, "so it is", status), course(), terms())
    assert (type(found.error), found.reached) == (kind, reached)


def test_what_errors_say() -> None:
    wrong = failure(Refusal(CODE.INVALID_ARGUMENT, "inputs[0]: wrong"), course(), terms()).error
    assert isinstance(wrong, InvalidInput)
    assert (wrong.path, wrong.detail) == ("inputs[0]", "wrong")
    assert failure(Refusal(CODE.INTERNAL, "it failed"), course(), terms()).error.detail == "INTERNAL: it failed"
    late = failure(Refusal(CODE.DEADLINE_EXCEEDED, ""), course(timeout=0), terms()).error
    assert late.detail == "no answer within 0 s"
    nobody = failure(Refusal(CODE.UNAVAILABLE, "failed to connect"), course(), terms()).error
    assert "no connection to gateway:8081" in nobody.detail


class Channel:
    """Answers with what it was asked, or refuses."""

    def __init__(self, refusal: grpc.RpcError | None = None) -> None:
        self.refusal = refusal
        self.asked: list[Any] = []

    def unary_unary(self, name: str) -> Any:
        def invoke(body: bytes, **given: Any) -> bytes:
            self.asked.append((name, body, given))
            if self.refusal is not None:
                raise self.refusal
            return b"answered"

        return invoke


class AsyncChannel(Channel):
    def unary_unary(self, name: str) -> Any:
        invoke = super().unary_unary(name)

        async def awaited(body: bytes, **given: Any) -> bytes:
            found: bytes = invoke(body, **given)
            return found

        return awaited


async def test_an_attempt() -> None:
    ways = Channel(), AsyncChannel()
    found = (
        attempt(ways[0], course(), terms()),  # type: ignore[arg-type]  # it has what is used of a channel
        await async_attempt(ways[1], course(), terms()),  # type: ignore[arg-type]  # as above
    )
    assert found == (Answer(200, {}, b"answered"),) * 2
    for way in ways:
        ((name, body, given),) = way.asked
        assert (name, body) == (f"/{SERVICE}/ModelInfer", b"asked")
        assert 29 < given["timeout"] <= 30
        assert [key for key, _ in given["metadata"]] == ["x-a", "x-request-id"]


async def test_an_attempt_that_fails() -> None:
    found = attempt(Channel(Refusal(CODE.RESOURCE_EXHAUSTED, "full")), course(), terms())  # type: ignore[arg-type]  # as above
    assert isinstance(found, Failure)
    refusal = grpc.aio.AioRpcError(CODE.RESOURCE_EXHAUSTED, grpc.aio.Metadata(), grpc.aio.Metadata(), "full")
    found = await async_attempt(AsyncChannel(refusal), course(), terms())  # type: ignore[arg-type]  # as above
    assert isinstance(found, Failure)
    assert isinstance(found.error, Overloaded)


async def test_channels_open_without_a_connection(tmp_path: Path) -> None:
    trust = make_certificate(tmp_path).chain
    for given in (terms(), terms("grpcs://gateway:1"), terms("grpcs://gateway:1", trust)):
        channel(given).close()
        await async_channel(given).close()


def test_a_gateway_that_is_gone_is_looked_for_again_soon() -> None:
    def count(door: socket.socket) -> float:
        """Hang up on those who come; the seconds from the first attempt to the fifth."""
        times: list[float] = []
        while len(times) < 5:
            door.accept()[0].close()
            times.append(monotonic())
        return times[-1] - times[0]

    with socket.create_server(("127.0.0.1", 0)) as door, ThreadPoolExecutor(1) as threads:
        here = terms(f"grpc://127.0.0.1:{door.getsockname()[1]}")
        way = channel(here)
        counted = threads.submit(count, door)
        while not counted.done():
            assert isinstance(attempt(way, course(), here), Failure)
        way.close()
    assert counted.result() < 4  # gRPC's own waits would have been 9 s

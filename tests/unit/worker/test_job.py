"""Every job is answered once, whatever user code has made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import structlog

from kapelle.core.batch import Batcher
from kapelle.declare.context import RequestContext
from kapelle.errors import CallError, ContractError, InvalidInput, Overloaded, UserCodeError, rebuild
from kapelle.transport.memory import MemoryConnection
from kapelle.wire import messages
from kapelle.wire.body import Buffer
from kapelle.wire.frames import MAX_HEAD
from kapelle.wire.payload import Packer, Payload
from kapelle.worker.job import Job, failure

_decode = messages.Decoder[messages.FromReplica](messages.FromReplica)
CONTEXT = RequestContext("request-7", "", 1e9)


class Recorder:
    """Notes the answers, and sends them over a real connection."""

    def __init__(self) -> None:
        self.answers: list[messages.FromReplica] = []
        self.connection, _ = MemoryConnection.pair()

    def send(self, message: messages.FromReplica, segments: Sequence[Buffer] = ()) -> None:
        self.connection.send(messages.encode(message), segments)

    def answer(self, job: Job, message: messages.FromReplica, segments: Sequence[Buffer]) -> None:
        self.send(message, segments)
        self.answers.append(message)


def new_job(asker: Recorder) -> Job:
    return Job(7, 1, 10, (), CONTEXT, asker)


class Awkward(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


class Misleading(InvalidInput):
    """An error of ours, made wrongly by user code."""

    def __init__(self) -> None:
        super().__init__("x")
        self.detail = 42  # type: ignore[assignment]  # that is what is wrong

    @property
    def extra(self) -> str:
        raise KeyError("no path")


def remade(error: BaseException) -> CallError:
    """What the caller gets to see of an error."""
    message = _decode(messages.encode(failure(7, error)))
    assert isinstance(message, messages.Failed)
    return rebuild(message.error, message.detail, message.extra)


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (ValueError("bad row"), "ValueError: bad row"),
        (ValueError(), "ValueError"),
        (KeyError("name"), "KeyError: 'name'"),
        (Awkward(), "Awkward: (no text: RuntimeError)"),
        (ValueError("lone \ud800 surrogate"), "ValueError: lone ? surrogate"),
        (ExceptionGroup("several", [ValueError("one")]), "ExceptionGroup: several (1 sub-exception)"),
        (SyntaxError("no comma", ("model.txt", 2, 3, b"a b")), "SyntaxError: no comma (model.txt, line 2)"),  # type: ignore[arg-type]  # that is what is wrong
    ],
)
def test_an_exception_of_user_code_travels_as_text(error: Exception, detail: str) -> None:
    made = remade(error)
    assert isinstance(made, UserCodeError)
    assert made.detail == detail
    assert type(error).__name__ in made.traceback


def test_the_traceback_is_the_remote_one() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        _ = 1 // 0
    made = remade(caught.value)
    assert isinstance(made, UserCodeError)
    assert "_ = 1 // 0" in made.traceback


def test_errors_of_ours_travel_as_what_they_are() -> None:
    invalid = remade(InvalidInput("expected text", path="$.name"))
    assert isinstance(invalid, InvalidInput)
    assert (invalid.detail, invalid.path) == ("expected text", "$.name")
    overloaded = remade(Overloaded("busy", retry_after=2.5))
    assert isinstance(overloaded, Overloaded)
    assert overloaded.retry_after == 2.5


def test_errors_of_ours_made_wrongly_travel_all_the_same() -> None:
    made = remade(Misleading())
    assert isinstance(made, InvalidInput)
    assert made.detail == "42"


def test_errors_of_any_size_travel() -> None:
    made = remade(ValueError("x" * (MAX_HEAD + 1)))
    assert isinstance(made, UserCodeError)
    assert len(made.detail) <= 4 << 10
    assert len(made.traceback) <= 64 << 10


async def test_user_errors_are_logged_with_their_traceback_and_request() -> None:
    with structlog.testing.capture_logs() as lines:
        new_job(Recorder()).failed(ValueError("bad row"))
        new_job(Recorder()).failed(InvalidInput("the caller's fault"))
    (line,) = lines
    assert line["log_level"] == "error"
    assert line["request"] == "request-7"
    assert line["error"] == "ValueError: bad row"
    assert "ValueError: bad row" in line["traceback"]


async def test_a_log_that_fails_keeps_no_answer_back() -> None:
    asker = Recorder()
    with structlog.testing.capture_logs(processors=[_fail]), pytest.raises(KeyError, match="user"):
        new_job(asker).failed(ValueError("own"))
    assert [type(answer) for answer in asker.answers] == [messages.Failed]


def _fail(_: Any, __: str, event: Any) -> Any:
    """As a processor of users, which expects of all lines what theirs have."""
    return {"user": event["user"]}


@pytest.mark.parametrize("first", range(4))
async def test_a_job_is_answered_once(first: int) -> None:
    asker = Recorder()
    job = new_job(asker)
    ends = [
        lambda: job.done(Packer(), 1),
        lambda: job.failed(ValueError()),
        lambda: job.refused(messages.FULL),
        job.cancel,
    ]
    for end in (*ends[first:], *ends):
        end()
    job.dropped()  # as when it ran, and its task ended
    assert len(asker.answers) == 1
    assert job.answered


async def test_a_cancelled_job_that_waits_leaves_the_queue_and_is_over() -> None:
    asker = Recorder()
    batcher = Batcher(max_size=4, max_wait=0.0, max_bytes=100, max_queue=10)
    job = new_job(asker)
    assert batcher.offer(job, 0.0)
    job.batcher = batcher
    job.cancel()
    job.cancel()
    assert batcher.queued_rows == 0
    assert asker.answers == [messages.Dropped(7)]


async def test_a_cancelled_job_that_runs_is_stopped_and_over_when_it_has_ended() -> None:
    asker = Recorder()
    job = new_job(asker)
    stopped: list[bool] = []
    job.stop = lambda: stopped.append(True)
    job.cancel()
    job.cancel()
    assert stopped == [True]
    assert asker.answers == []
    job.dropped()
    assert asker.answers == [messages.Dropped(7)]


async def test_what_a_cancelled_job_brings_is_not_sent() -> None:
    asker = Recorder()
    job = new_job(asker)
    job.cancel()
    job.done(Packer(), "large" * 1000)
    assert asker.answers == [messages.Dropped(7)]


async def test_what_is_not_cancelled_is_not_dropped() -> None:
    asker = Recorder()
    new_job(asker).dropped()
    assert asker.answers == []


async def test_a_result_that_is_too_large_is_an_answer_too() -> None:
    asker = Recorder()
    new_job(asker).done(Packer(), "x" * (MAX_HEAD + 1))
    (answer,) = asker.answers
    assert isinstance(answer, messages.Failed)
    assert answer.error == ContractError.code
    assert "the result is too large: a frame of" in answer.detail


async def test_a_result_that_cannot_be_encoded_is_an_answer_too() -> None:
    def pack(value: Any) -> Payload:
        raise KeyError("raised by the user's own model")

    asker = Recorder()
    new_job(asker).done(pack, 1)
    (answer,) = asker.answers
    assert isinstance(answer, messages.Failed)
    assert answer.error == UserCodeError.code


async def test_large_arrays_travel_beside_the_answer() -> None:
    asker = Recorder()
    new_job(asker).done(Packer(), np.zeros(10_000))
    (answer,) = asker.answers
    assert isinstance(answer, messages.Done)
    assert len(bytes(answer.result)) < 100

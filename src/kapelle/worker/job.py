"""A call as the worker sees it: what to run, for whom, and how it is answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import structlog

from kapelle.core.batch import Batcher, Entry
from kapelle.declare.context import RequestContext
from kapelle.errors import (
    CallError,
    ContractError,
    UserCodeError,
    WireError,
    forget_frames,
    no_text,
    plain,
    traceback_of,
)
from kapelle.wire import messages
from kapelle.wire.body import Buffer
from kapelle.wire.payload import Payload

log = structlog.get_logger()

_LONGEST_DETAIL = 4 << 10
_LONGEST_EXTRA = 64 << 10


class Asker(Protocol):
    """Who waits for the answer."""

    def send(self, message: messages.OneFromReplica, segments: Sequence[Buffer] = ()) -> None:
        """Send something that is not the answer yet.

        Raises:
            WireError: it is too large.
        """

    def answer(self, job: Job, message: messages.OneFromReplica, segments: Sequence[Buffer]) -> None:
        """Send the one answer of ``job``, which is over then.

        Raises:
            WireError: it is too large; the job is not over.
        """


class Job(Entry):
    """One call; ``key`` is its ticket, ``arguments`` are decoded and valid.

    It is answered once. An ``abandoned`` one is answered too, when it runs no more: until then it keeps the replica busy,
    and who balances the load must know.
    """

    __slots__ = ("abandoned", "answered", "arguments", "asker", "batcher", "context", "grant", "stop")

    def __init__(
        self, ticket: int, rows: int, size: int, arguments: Sequence[Any], context: RequestContext, asker: Asker
    ) -> None:
        self.key = ticket
        self.rows = rows
        self.size = size
        self.deadline = context.deadline
        self.queued = True
        self.arguments = arguments
        self.context = context
        self.asker = asker
        self.answered = False
        self.abandoned = False
        self.batcher: Batcher | None = None
        self.stop: Callable[[], object] | None = None
        self.grant: Callable[[int], None] | None = None

    def cancel(self) -> None:
        """Nobody waits for it: it is not begun, or stopped where it is a coroutine; a thread cannot be stopped."""
        if self.answered or self.abandoned:
            return
        self.abandoned = True
        if self.batcher is not None and self.queued:
            self.batcher.drop(self)
            self.dropped()
        elif self.stop is not None:
            self.stop()

    def dropped(self) -> None:
        """It does not run, or no more: if it was given up, that is the answer."""
        self.stop = self.grant = None  # what runs has the job, too
        if self.abandoned and not self.answered:
            self.answered = True
            self.asker.answer(self, messages.Dropped(self.key), ())

    def granted(self, items: int) -> None:
        """The caller of a stream has room for ``items`` more."""
        if self.grant is not None:
            self.grant(items)

    def done(self, pack: Callable[[Any], Payload], value: Any) -> None:
        """Answer with the result."""
        if self.answered:
            return
        if self.abandoned:
            self.dropped()
            return
        try:
            data, segments = pack(value)
            self.asker.answer(self, messages.Done(self.key, data), segments)
        except WireError as error:
            self.failed(ContractError(f"the result is too large: {error.detail}"))
        except Exception as error:  # noqa: BLE001 - users' types may raise anything when they are encoded
            self.failed(error)
        else:
            self.answered = True

    def failed(self, error: BaseException, *, items: int = 0) -> None:
        """Answer with an error, for a stream after ``items``; an exception of user code is logged, with its traceback."""
        if self.answered:
            return
        self.answered = True
        answer = failure(self.key, error, items)
        self.asker.answer(self, answer, ())
        # The caller first: what users have put into the log's way may fail.
        log_failure(answer, self.context)

    def refused(self, reason: str) -> None:
        """Answer that it was not begun, and may run elsewhere."""
        if not self.answered:
            self.answered = True
            self.asker.answer(self, messages.Refused(self.key, reason), ())


def log_failure(answer: messages.Failed, context: RequestContext) -> None:
    """Log what user code has raised; what it has refused is the caller's affair."""
    if answer.error == UserCodeError.code:
        log.error("user code failed", error=answer.detail, traceback=answer.extra, request=context.id)


def failure(ticket: int, error: BaseException, items: int = 0) -> messages.Failed:
    """The answer that stands for ``error``, whatever it is."""
    told = error if isinstance(error, CallError) else _user_error(error)
    forget_frames(error)
    detail = _text(lambda: told.detail)[:_LONGEST_DETAIL]
    extra = _text(lambda: told.extra)[-_LONGEST_EXTRA:]
    return messages.Failed(ticket, _text(lambda: told.code), detail, extra, items)


def _user_error(error: BaseException) -> UserCodeError:
    name = type(error).__name__
    text = _text(lambda: error)[:_LONGEST_DETAIL]
    found = _text(lambda: traceback_of(error))[-_LONGEST_EXTRA:]
    return UserCodeError(f"{name}: {text}" if text else name, traceback=found)


def _text(value: Callable[[], object]) -> str:
    """The text of something that user code has made, in a form that can travel."""
    try:
        return plain(value())
    except Exception as error:  # noqa: BLE001 - it may raise anything; the caller gets an answer all the same
        return no_text(error)

"""A call as the worker sees it: what to run, for whom, and how to answer."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from typing import Any

import structlog

from kapelle.core.batch import Batcher, Entry
from kapelle.declare.context import RequestContext
from kapelle.errors import CallError, KapelleError, UserCodeError
from kapelle.transport.connection import Connection
from kapelle.wire import messages
from kapelle.wire.payload import Packer

log = structlog.get_logger()


class Job:
    """One call. ``arguments`` are decoded and valid; it is answered exactly once, or dropped."""

    __slots__ = ("answered", "arguments", "batcher", "connection", "context", "entry", "forget", "task", "ticket")

    def __init__(
        self,
        ticket: int,
        arguments: tuple[Any, ...],
        context: RequestContext,
        connection: Connection,
        forget: Callable[[int], object],
    ) -> None:
        self.ticket = ticket
        self.arguments = arguments
        self.context = context
        self.connection = connection
        self.forget = forget
        self.answered = False
        self.task: asyncio.Task[None] | None = None
        self.entry: Entry | None = None
        self.batcher: Batcher | None = None

    def cancel(self) -> None:
        """Nobody waits for it: it is not begun, or stopped where it is a coroutine, and not answered."""
        if not self.answered:
            self.answered = True
            self.forget(self.ticket)
            if self.batcher is not None and self.entry is not None:
                self.batcher.drop(self.entry)
            if self.task is not None:
                self.task.cancel()

    def done(self, packer: Packer, value: Any) -> None:
        """Answer with the result."""
        try:
            data, segments = packer(value)
        except KapelleError as error:
            self.failed(error)
            return
        self._answer(messages.Done(self.ticket, data), segments)

    def failed(self, error: BaseException) -> None:
        """Answer with an error; an exception of user code is logged here, with its traceback."""
        call_error = as_call_error(error)
        if isinstance(call_error, UserCodeError):
            log.error("user code failed", error=call_error.detail, traceback=call_error.traceback, request=self.context.id)
        self._answer(messages.Failed(self.ticket, call_error.code, call_error.detail, call_error.extra))

    def refused(self, reason: str) -> None:
        """Answer that it was not begun, and may run elsewhere."""
        self._answer(messages.Refused(self.ticket, reason))

    def _answer(self, message: messages.FromReplica, segments: tuple[Any, ...] = ()) -> None:
        if not self.answered:
            self.answered = True
            self.forget(self.ticket)
            self.connection.send(messages.encode(message), segments)


def as_call_error(error: BaseException) -> CallError:
    """Any exception as one that can travel."""
    if isinstance(error, CallError):
        return error
    detail = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return UserCodeError(detail, traceback="".join(traceback.format_exception(error)))

"""Structured logs: one line per event, each with the process it comes from and the request it belongs to.

All processes write to the standard error they inherited, a line per ``write``, so that one stream carries them all and
goes on when the controller is gone. JSON by default; colours where a person looks at a terminal. What user code prints
becomes lines of the same stream, under the request that printed it.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
import threading
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.typing import ExcInfo

from kapelle.declare.context import current_request
from kapelle.errors import traceback_of

Format = Literal["auto", "json", "console"]
Event = MutableMapping[str, Any]


def configure(*, format: Format, level: str, **bound: str) -> None:
    """Set up logging for this process. ``bound`` (service, replica) is part of every line."""
    stream = SteadyStream(sys.__stderr__ or sys.stderr)
    console = format == "console" or (format == "auto" and stream.isatty())
    threshold = logging.getLevelNamesMapping()[level.upper()]

    def origin(_: Any, __: str, event: Event) -> Event:
        for name, value in bound.items():
            event.setdefault(name, value)
        request = current_request()
        if request is not None:
            event.setdefault("request", request.id)
            if request.trace:
                event.setdefault("trace", request.trace)
        return event

    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        origin,
        structlog.processors.StackInfoRenderer(),
    ]
    last: list[Any] = (
        [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=_write_traceback)]
        if console
        else [structlog.processors.ExceptionRenderer(_traceback), structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, stream)),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries tell their own story at info; it is of use only to who asks for every detail.
    root.setLevel(threshold if threshold < logging.INFO else max(threshold, logging.WARNING))


def _traceback(exc_info: ExcInfo) -> str:
    # Whoever logs an exception of user code does not suffer from one that cannot be written.
    return traceback_of(exc_info[1]).rstrip("\n")


def _write_traceback(out: TextIO, exc_info: ExcInfo) -> None:
    out.write(f"\n{_traceback(exc_info)}")


class SteadyStream(io.TextIOBase):
    """A stream whose reader may go away: whoever writes to it does not suffer, what is written is lost.

    A system must serve on when the terminal it was started from is closed, the program that read its log has died, or
    the disk is full.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def isatty(self) -> bool:
        return self._stream.isatty()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._lose(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        if error.errno in (errno.EPIPE, errno.EIO):
            # For good: and the interpreter, which flushes at its end, must not stumble over it either.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


def capture_prints() -> None:
    """Make every line that user code prints an event of the log."""
    sys.stdout = _LogStream("stdout")
    sys.stderr = _LogStream("stderr")


class _LogStream(io.TextIOBase):
    """A text stream whose lines become events; it can what code expects of ``sys.stdout``."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, name: str) -> None:
        self.buffer = _Bytes(self)
        # Bound now: should user code have structlog print, that comes back here.
        self._log = structlog.get_logger().bind(stream=name)
        self._begun = threading.local()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        # For what knows files by their number only, such as faulthandler and other programs: beside the events.
        return sys.__stderr__.fileno() if sys.__stderr__ is not None else super().fileno()

    def reconfigure(self, **_: object) -> None:
        """Lines are events, whatever they shall look like."""

    def write(self, text: str) -> int:
        # A line of each thread's own: two that print at once must not end up in each other's.
        *lines, self._begun.line = (getattr(self._begun, "line", "") + text).split("\n")
        for line in lines:
            if line.strip():
                self._log.info(line)
        return len(text)

    def flush(self) -> None:
        if getattr(self._begun, "line", ""):
            self.write("\n")


class _Bytes(io.RawIOBase):
    """What is beneath a text stream, for code that writes bytes."""

    def __init__(self, text: _LogStream) -> None:
        self._text = text

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        # A bytearray and an array have bytes, too.
        content = bytes(memoryview(data))
        self._text.write(content.decode(self._text.encoding, self._text.errors))
        return len(content)

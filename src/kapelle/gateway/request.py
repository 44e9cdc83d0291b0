"""A request as the gateway answers it: whole, within limits, with the place its answer goes to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl

from kapelle.ids import is_safe_request_id, is_traceparent

if TYPE_CHECKING:
    import asyncio

    from kapelle.gateway.edition import Edition

Header = tuple[bytes, bytes]
Headers = list[Header]

_MAX_QUERY_FIELDS = 1000


class Responder(Protocol):
    """Where an answer goes: a connection of the front, or the server of an ASGI application.

    It marks a request as ``begun`` when the head of a streamed answer went out, and as ``finished`` when the answer is
    complete.
    """

    def respond(
        self, request: Request, status: int, content_type: bytes, body: bytes, headers: tuple[Header, ...] = ()
    ) -> None:
        """Send a whole answer."""

    def begin_stream(
        self,
        request: Request,
        status: int,
        content_type: bytes,
        headers: tuple[Header, ...] = (),
        length: int | None = None,
    ) -> None:
        """Send the head of an answer that follows in parts; ``length`` is that of all parts, where it is known."""

    async def stream(self, request: Request, data: bytes) -> None:
        """Send a part of the answer; lets others have their turn, and waits while the client is slow.

        Raises:
            OSError: the client is gone.
        """

    def end_stream(self, request: Request, last: bytes = b"") -> None:
        """The answer is complete, after its ``last`` part."""

    def abort(self) -> None:
        """Cut the client off, so that it sees that the answer is not whole."""

    def origin(self) -> dict[str, Any]:
        """What an ASGI scope says of the connection: scheme, client, server, root_path."""
        ...


class Request:
    """One HTTP request. ``headers`` have lower-case names; ``size`` is that of the body in bytes.

    ``room`` is where a large body lies instead of in ``body``, for endpoints that take it from there; ``message`` is the
    body as another protocol than HTTP has read it. ``borrows`` is whether some of it, or of its answer, lies in memory of
    the client's, who goes on with that once it is answered. ``edition`` is the one release it sees. ``expired`` and
    ``abandoned`` say why its task was cancelled: the deadline passed, or the client went away. ``way`` has the calls that
    were made.
    """

    __slots__ = (
        "abandoned", "began", "begun", "body", "borrows", "connection", "edition", "expired", "finished", "headers", "id",
        "keep_alive", "message", "method", "path", "query", "room", "size", "started", "target", "task", "trace", "version",
        "way",
    )  # fmt: skip

    def __init__(self, method: str, target: bytes, headers: Headers, connection: Responder, version: str) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.connection = connection
        self.version = version
        self.path = ""
        self.query = b""
        self.body = b""
        self.room: memoryview | None = None
        self.borrows = False
        self.message: Any = None
        self.size = 0
        self.id = ""
        self.trace = ""
        self.way: Sequence[tuple[str, str, float]] = ()
        self.keep_alive = True
        self.began = 0.0
        self.edition: Edition | None = None
        self.task: asyncio.Task[None] | None = None
        self.started = False
        self.begun = False
        self.finished = False
        self.expired = False
        self.abandoned = False

    @property
    def content(self) -> bytes | memoryview:
        """The body, wherever it lies."""
        return self.body if self.room is None else self.room

    def cancel(self) -> None:
        """Stop its task, after saying why.

        A task that is cancelled before its first step never runs at all; one that has not ``started`` looks for the
        reason itself.
        """
        if self.task is not None and self.started:
            self.task.cancel()

    def header(self, name: bytes) -> bytes:
        """The value of a header, or empty."""
        for key, value in self.headers:
            if key == name:
                return value.strip()
        return b""

    def query_items(self) -> list[tuple[str, str]]:
        """The query string, decoded.

        Raises:
            ValueError: it is not valid UTF-8, or has too many fields.
        """
        return parse_qsl(
            self.query.decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_QUERY_FIELDS, errors="strict"
        )

    def take_id(self, value: bytes) -> None:
        """Take the client's own request id over, if it is harmless."""
        text = value.decode("latin-1").strip()
        if is_safe_request_id(text):
            self.id = text

    def take_trace(self, value: bytes) -> None:
        """Take the client's trace context over, if it is one."""
        text = value.decode("latin-1").strip()
        if is_traceparent(text):
            self.trace = text

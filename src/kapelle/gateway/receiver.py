"""From the bytes of a connection to whole requests, within limits: llhttp parses, what remains to be said is here.

No socket is touched and no clock read. How the bytes are cut into pieces makes no difference to what comes out.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

import httptools

from kapelle.gateway import heads
from kapelle.gateway.familiar import LONGEST, FamiliarHeads, Head
from kapelle.gateway.pieces import add_piece
from kapelle.gateway.problems import HttpError
from kapelle.gateway.request import Headers, Request, Responder
from kapelle.wire.body import Buffer


class Phase(IntEnum):
    """What is being received: nothing yet, a head, a body, or nothing any more."""

    IDLE = 0
    HEAD = 1
    BODY = 2
    DEAF = 3


# Global look-ups of an enum's members take twice as long.
_IDLE, _HEAD, _BODY, _DEAF = Phase

_STOPS = (httptools.HttpParserError, httptools.HttpParserUpgrade)


class Receiver:
    """The requests of one connection. Each is given to ``on_request`` when it is whole, with ``responder`` in it.

    Heads that are ``familiar`` are not parsed again.
    """

    def __init__(
        self, responder: Responder, on_request: Callable[[Request], None], max_body: int, familiar: FamiliarHeads
    ) -> None:
        self.phase: Phase = _IDLE
        self.owes_continue = False
        self.parsing: Request | None = None
        self._responder = responder
        self._on_request = on_request
        self._max_body = max_body
        self._familiar = familiar
        # Whether the parser stands between two requests, and how the piece starts that came when it last did.
        self._between = True
        self._start = b""
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._headers: Headers = []
        self._pieces: list[Buffer] = []
        self._put_off: Request | None = None
        # Bytes of the latest piece, those since the parser last had something to show for them, and those of the piece
        # in which the last request ended: the next one has begun there, nobody knows where.
        self._piece = 0
        self._unseen = 0
        self._shared = 0
        self.held = 0
        """Bytes of a body that is not whole yet."""

    @property
    def awaited(self) -> int:
        """Bytes of a body that are still to come, where the head has said how many there are."""
        if self.phase != _BODY or self.parsing is None:
            return 0
        return int(self.parsing.header(b"content-length") or b"0") - self.held

    def take(self) -> list[Buffer]:
        """What has come of a body whose rest is read by somebody else, who says when it is ``complete``."""
        pieces, self._pieces = self._pieces, []
        return pieces

    def complete(self, body: bytes | memoryview) -> None:
        """A body that was read by somebody else is whole."""
        request = self.parsing
        assert request is not None, "its head has been read"
        self._parser = httptools.HttpRequestParser(self)  # the old one waits for the body
        self._piece = 0
        self._between = True
        self._start = b""
        self._end(request, body)

    def feed(self, data: bytes | memoryview) -> HttpError | None:
        """Read on; an error says that nothing more can be read."""
        self._piece = len(data)
        if self._between:
            self._start = start = bytes(data[:LONGEST])
            found = self._familiar.find(start, self._piece)
            if found is not None:
                self._recall(*found, data)
                return None
            self._between = False
        else:
            self._start = b""
        self._unseen += self._piece
        stopped = self._parse(data)
        if stopped is not None:
            refusal = self._overcome(stopped, data)
            if refusal is not None:
                return refusal
        # A line without an end, or trailers without one, show in no callback.
        return heads.head_too_large() if self._unseen > heads.MAX_HEAD and self.phase != _DEAF else None

    def stop(self) -> None:
        """Nothing that comes now has a meaning."""
        self.phase = _DEAF
        self._between = False
        self._pieces, self.held = [], 0

    def refused(self) -> Request:
        """What is known of the request that could not be read."""
        request = self.parsing
        if request is None:
            request = Request("GET", self._target, self._headers, self._responder, "1.1")
            for name, value in self._headers:
                if name == b"x-request-id":
                    request.take_id(value)
        return request

    # --- what the parser calls ----------------------------------------------------------------------------------------

    def on_url(self, url: bytes) -> None:
        if self.phase == _IDLE:
            self.phase = _HEAD
            self._target = url
        else:
            self._target += url
        if len(self._target) > heads.MAX_TARGET:
            raise HttpError(414, f"the request's target is over {heads.MAX_TARGET} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        # After the body these are trailers, which nobody gets to see; their number is limited all the same.
        self._headers.append((name.lower(), value))
        if len(self._headers) > heads.MAX_HEADERS:
            raise HttpError(431, f"over {heads.MAX_HEADERS} headers")

    def on_headers_complete(self) -> None:
        if self.phase == _DEAF:
            return
        parser = self._parser
        headers, self._headers = self._headers, []
        method, version = parser.get_method().decode("ascii"), parser.get_http_version()
        self.parsing = request = Request(method, self._target, headers, self._responder, version)
        self.phase = _BODY
        request.keep_alive = parser.should_keep_alive()
        if version != "1.1" or method == "CONNECT":
            heads.check_line(method, version)
        if self._unseen + self._shared > heads.MAX_HEAD:
            heads.check_size(request)
        marks = heads.read_head(request, self._max_body)
        if marks <= heads.HAS_BODY:
            return
        if marks & heads.OFFERS_UPGRADE and marks & heads.HAS_BODY and parser.should_upgrade():
            # HTTP allows to ignore the offer; but llhttp is about to take the body for the other protocol.
            self._put_off = request
            self.parsing = None
        elif marks & heads.EXPECTS_CONTINUE:
            self.owes_continue = True

    def on_body(self, body: bytes) -> None:
        self._unseen = 0
        add_piece(self._pieces, body)
        self.held += len(body)
        if self.held > self._max_body:
            raise heads.too_large(self._max_body)

    def on_message_complete(self) -> None:
        request = self.parsing
        if request is None or self.phase == _DEAF:
            return
        pieces = self.take()
        self._end(request, bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces))

    def _recall(self, head: Head, end: int, data: bytes | memoryview) -> None:
        """A whole request with a head that needs no parser."""
        request = Request(head.method, head.target, head.headers, self._responder, "1.1")
        request.body = bytes(data[end:])
        request.size = head.length
        self._shared = self._piece
        self._on_request(request)

    def _end(self, request: Request, body: bytes | memoryview) -> None:
        self.parsing = None
        self.phase = _IDLE
        self._unseen = 0
        self._shared = self._piece
        self.owes_continue = False
        if self._headers:
            self._headers = []
        self.held = 0
        if isinstance(body, bytes):
            request.body = body
        else:
            request.room = body
        request.size = len(body)
        start, self._start = self._start, b""
        if start:
            self._between = self._familiar.meet(start, self._piece, request, request.size)
        self._on_request(request)

    # --- what it cannot read ------------------------------------------------------------------------------------------

    def _overcome(self, error: Exception, data: bytes | memoryview) -> HttpError | None:
        """Go on where llhttp stopped only for an offer to change the protocol; else the reason to refuse."""
        stopped: Exception | None = error
        rest = memoryview(data)
        while isinstance(stopped, httptools.HttpParserUpgrade):
            rest = rest[stopped.args[0] :]
            if self._put_off is not None:
                head, self._put_off = heads.without_upgrade(self._put_off), None
                self.phase = _IDLE
                self._parser = httptools.HttpRequestParser(self)
                self._parse(head)
            stopped = self._parse(rest)
        if stopped is None:
            return None
        if self.phase == _DEAF:
            return None
        if self.phase == _IDLE:
            self._target = b"/"
        cause = stopped.__context__
        return cause if isinstance(cause, HttpError) else HttpError(400, f"malformed request: {stopped}")

    def _parse(self, data: bytes | memoryview) -> Exception | None:
        # What stopped it is returned: raised while another error is handled, the parser's would forget its own cause.
        try:
            self._parser.feed_data(data)
        except _STOPS as error:
            return error
        return None

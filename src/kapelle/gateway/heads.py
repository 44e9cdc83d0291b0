"""Heads of HTTP messages: what a request's head asks of the connection, and how an answer's head begins."""

from __future__ import annotations

from kapelle.gateway.problems import PHRASES, HttpError
from kapelle.gateway.request import Request

MAX_HEAD = 32 << 10
MAX_HEADERS = 100
MAX_TARGET = 8 << 10

HAS_BODY = 1
EXPECTS_CONTINUE = 2
OFFERS_UPGRADE = 4

RELEASE = b"x-kapelle-release"
"""The header that names the one release a request has seen."""

BODILESS = frozenset({204, 304})
"""Statuses whose answers have no body, not even an empty one."""

_NOTABLE = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"x-request-id", b"traceparent"}
)
_REASONS = {status: phrase.encode() for status, phrase in PHRASES.items()}


def read_head(request: Request, max_body: int) -> int:
    """Take over the client's ids, and check what the head says of the body, all in one pass; the marks that apply.

    Raises:
        HttpError: the request cannot be served, or not read without doubt about where it ends.
    """
    marks = hosts = 0
    for name, value in request.headers:
        if name not in _NOTABLE:
            continue
        if name == b"host":
            hosts += 1
        elif name == b"content-length":
            length = int(value)
            if length > max_body:
                raise too_large(max_body)
            if length:
                marks |= HAS_BODY
        else:
            marks |= _read_rare(request, name, value)
    if hosts != 1 and request.version == "1.1":
        raise HttpError(400, f"{hosts} Host headers; expected one")
    return marks


def check_line(method: str, version: str) -> None:
    """Check the rarer kinds of request lines.

    Raises:
        HttpError: it asks for what is not HTTP/1.1 or HTTP/1.0, or not for an answer but for a tunnel.
    """
    if version not in ("1.1", "1.0"):
        raise HttpError(505, f"HTTP/{version} is not supported; expected HTTP/1.1")
    if method == "CONNECT":
        raise HttpError(501, "CONNECT is not supported")


def _read_rare(request: Request, name: bytes, value: bytes) -> int:
    if name == b"x-request-id":
        request.take_id(value)
    elif name == b"traceparent":
        request.take_trace(value)
    elif name == b"upgrade":
        return OFFERS_UPGRADE
    elif name == b"expect":
        if value.strip().lower() != b"100-continue":
            raise HttpError(417, f"expectation {_shown(value)} cannot be met; expected 100-continue")
        # HTTP/1.0 knows no interim answers: such a client sends its body anyway.
        return 0 if request.version == "1.0" else EXPECTS_CONTINUE
    elif name == b"transfer-encoding":
        if request.version == "1.0":
            raise HttpError(400, "HTTP/1.0 has no transfer-encoding")
        if value.strip().lower() != b"chunked":
            raise HttpError(501, f"transfer-encoding {_shown(value)} is not supported; expected chunked")
        return HAS_BODY
    return 0


def check_plain(request: Request) -> None:
    """A body could not be read: say so where that is because it was packed.

    Raises:
        HttpError: the head says that it was.
    """
    encoding = request.header(b"content-encoding")
    if encoding.lower() not in (b"", b"identity"):
        detail = f"content-encoding {_shown(encoding)} is not taken here; expected the body as it is"
        raise HttpError(415, detail, headers=((b"accept-encoding", b"identity"),)) from None


def check_size(request: Request) -> None:
    """Check the size of a head that may be too large.

    Raises:
        HttpError: it is.
    """
    size = len(request.method) + len(request.target) + len("  HTTP/1.1\r\n\r\n")
    size += sum(len(name) + len(value) + len(": \r\n") for name, value in request.headers)
    if size > MAX_HEAD:
        raise head_too_large()


def without_upgrade(request: Request) -> bytes:
    """The request's head again, but for the offer to change the protocol."""
    lines = [b"%b: %b\r\n" % header for header in request.headers if header[0] != b"upgrade"]
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (request.method.encode("ascii"), request.target, b"".join(lines))


def preamble(status: int, content_type: bytes, date: bytes, release: bytes) -> bytes:
    """How an answer begins: what many answers of one second have in common."""
    kind = b"content-type: %b\r\n" % content_type if content_type else b""
    shown = b"%b: %b\r\n" % (RELEASE, release) if release else b""
    return b"HTTP/1.1 %d %b\r\n%b%bdate: %b\r\n" % (status, _REASONS.get(status, b""), kind, shown, date)


def too_large(limit: int) -> HttpError:
    """The error for a body over the limit."""
    return HttpError(413, f"the body is over the limit of {limit} bytes", code="too-large")


def head_too_large() -> HttpError:
    """The error for a head over the limit."""
    return HttpError(431, f"the request's head is over {MAX_HEAD} bytes")


def _shown(value: bytes) -> str:
    return repr(value[:40].decode("latin-1"))

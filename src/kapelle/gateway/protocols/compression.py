"""Compressed request bodies (gzip, deflate), as clients may send large tensors; bounded before they are unpacked."""

from __future__ import annotations

import zlib

from kapelle.gateway import heads
from kapelle.gateway.problems import HttpError
from kapelle.gateway.request import Request

_AUTOMATIC = 32 + zlib.MAX_WBITS  # gzip or zlib, as the first bytes say
_ENCODINGS = (b"gzip", b"deflate")


def plain_body(request: Request, limit: int) -> bytes | memoryview:
    """The body of a request as it was before it was compressed.

    Raises:
        HttpError: it is in an encoding that is not known here, is damaged, or has more than ``limit`` bytes unpacked.
    """
    encoding = request.header(b"content-encoding").lower()
    if encoding in (b"", b"identity"):
        return request.content
    if encoding not in _ENCODINGS:
        raise HttpError(415, f"content-encoding {encoding[:40].decode('latin-1')!r}; expected gzip or deflate")
    unpacking = zlib.decompressobj(_AUTOMATIC)
    try:
        body = unpacking.decompress(request.content, limit + 1)
    except zlib.error as error:
        raise HttpError(400, f"the body is not {encoding.decode()}: {error}", code="malformed-body") from None
    if len(body) > limit:
        raise heads.too_large(limit)
    if not unpacking.eof or unpacking.unused_data:
        raise HttpError(
            400, f"the body is not {encoding.decode()}: it ends too early or too late", code="malformed-body"
        )
    return body

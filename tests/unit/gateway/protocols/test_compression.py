"""Compressed bodies are unpacked within the limit of bodies."""

from __future__ import annotations

import gzip
import zlib

import pytest

from kapelle.gateway.problems import HttpError
from kapelle.gateway.protocols.compression import plain_body
from kapelle.gateway.request import Request
from tests.unit.gateway.recorder import make_request

LIMIT = 1000


def sent(body: bytes, encoding: bytes = b"") -> Request:
    return make_request("POST", b"/", body, *([(b"content-encoding", encoding)] if encoding else []))


def test_bodies_are_unpacked() -> None:
    body = b"a tensor " * 100
    assert plain_body(sent(body), LIMIT) == body
    assert plain_body(sent(body, b"identity"), LIMIT) == body
    assert plain_body(sent(gzip.compress(body), b"gzip"), LIMIT) == body
    assert plain_body(sent(zlib.compress(body), b"Deflate"), LIMIT) == body


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (gzip.compress(b"0" * 10**6), b"gzip", 413),
        (b"plain", b"gzip", 400),
        (gzip.compress(b"cut short")[:-4], b"gzip", 400),
        (gzip.compress(b"and more") + b"after it", b"gzip", 400),
        (b"", b"deflate", 400),
        (b"x", b"br", 415),
    ],
    ids=["bomb", "plain", "cut", "more", "empty", "unknown"],
)
def test_what_cannot_be_unpacked_is_refused(body: bytes, encoding: bytes, status: int) -> None:
    with pytest.raises(HttpError) as refused:
        plain_body(sent(body, encoding), LIMIT)
    assert refused.value.status == status

"""The marks of a request's head, its faults, and how answers begin."""

from __future__ import annotations

import pytest

from kapelle.gateway import heads
from kapelle.gateway.problems import HttpError
from kapelle.gateway.request import Header, Request
from tests.unit.gateway.recorder import Recorder

HOST = (b"host", b"h")


def request(*headers: Header, version: str = "1.1") -> Request:
    return Request("POST", b"/p?q", list(headers), Recorder(), version)


@pytest.mark.parametrize(
    ("header", "marks"),
    [
        ((b"accept", b"*/*"), 0),
        ((b"content-length", b"0"), 0),
        ((b"content-length", b"5 "), heads.HAS_BODY),
        ((b"content-length", b"00000000000000000000005"), heads.HAS_BODY),
        ((b"transfer-encoding", b"Chunked "), heads.HAS_BODY),
        ((b"expect", b"100-Continue"), heads.EXPECTS_CONTINUE),
        ((b"upgrade", b"h2c"), heads.OFFERS_UPGRADE),
    ],
)
def test_marks(header: Header, marks: int) -> None:
    assert heads.read_head(request(HOST, header), 100) == marks
    assert heads.read_head(request(header, HOST, (b"x", b"y")), 100) == marks


def test_ids_are_taken_over() -> None:
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    one = request(HOST, (b"x-request-id", b"mine"), (b"traceparent", trace))
    heads.read_head(one, 100)
    assert (one.id, one.trace) == ("mine", trace.decode())


@pytest.mark.parametrize(
    ("headers", "version", "status"),
    [
        ([], "1.1", 400),
        ([HOST, HOST], "1.1", 400),
        ([HOST, (b"content-length", b"101")], "1.1", 413),
        ([HOST, (b"transfer-encoding", b"gzip, chunked")], "1.1", 501),
        ([HOST, (b"expect", b"200-ok")], "1.1", 417),
        ([(b"transfer-encoding", b"chunked")], "1.0", 400),
    ],
)
def test_faults(headers: list[Header], version: str, status: int) -> None:
    with pytest.raises(HttpError) as caught:
        heads.read_head(request(*headers, version=version), 100)
    assert caught.value.status == status


def test_http_1_0_needs_no_host_and_is_not_asked_for_bodies() -> None:
    assert heads.read_head(request((b"expect", b"100-continue"), version="1.0"), 100) == 0


@pytest.mark.parametrize(
    ("method", "version", "status"), [("GET", "2.0", 505), ("GET", "0.9", 505), ("CONNECT", "1.1", 501)]
)
def test_lines(method: str, version: str, status: int) -> None:
    with pytest.raises(HttpError) as caught:
        heads.check_line(method, version)
    assert caught.value.status == status


def test_the_size_of_a_head_is_that_of_its_bytes() -> None:
    filler = b"y" * (heads.MAX_HEAD - len(b"POST /p?q HTTP/1.1\r\nhost: h\r\nx: \r\n\r\n"))
    heads.check_size(request(HOST, (b"x", filler)))
    with pytest.raises(HttpError, match="over 32768 bytes"):
        heads.check_size(request(HOST, (b"x", filler + b"y")))


def test_the_offer_to_upgrade_is_all_that_is_left_out() -> None:
    one = request(HOST, (b"upgrade", b"h2c"), (b"content-length", b"3"))
    assert heads.without_upgrade(one) == b"POST /p?q HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\n"


def test_preambles() -> None:
    assert heads.preamble(404, b"text/plain", b"now", b"") == (
        b"HTTP/1.1 404 Not Found\r\ncontent-type: text/plain\r\ndate: now\r\n"
    )
    assert heads.preamble(204, b"", b"now", b"") == b"HTTP/1.1 204 No Content\r\ndate: now\r\n"
    assert heads.preamble(599, b"", b"now", b"r7") == b"HTTP/1.1 599 \r\nx-kapelle-release: r7\r\ndate: now\r\n"

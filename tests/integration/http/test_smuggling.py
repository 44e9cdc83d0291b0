"""Requests that two parsers could take for different ones are refused, and what follows them is never answered."""

from __future__ import annotations

import pytest

from tests.integration.http.client import Client, get

CHUNKED = b"POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"


def post(*headers: bytes) -> bytes:
    return b"POST /echo HTTP/1.1\r\nHost: t\r\n" + b"".join(header + b"\r\n" for header in headers) + b"\r\n"


SHAPES = {
    "both lengths": post(b"Content-Length: 4", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "both lengths, other order": post(b"Transfer-Encoding: chunked", b"Content-Length: 4") + b"0\r\n\r\n",
    "conflicting lengths": post(b"Content-Length: 3", b"Content-Length: 4") + b"abcd",
    "repeated lengths": post(b"Content-Length: 4", b"Content-Length: 4") + b"abcd",
    "a list of lengths": post(b"Content-Length: 4, 4") + b"abcd",
    "a signed length": post(b"Content-Length: +4") + b"abcd",
    "a negative length": post(b"Content-Length: -4") + b"abcd",
    "a hexadecimal length": post(b"Content-Length: 0x4") + b"abcd",
    "an empty length": post(b"Content-Length: ") + b"abcd",
    "an underlined length": post(b"Content-Length: 1_0") + b"abcdefghij",
    "a length out of range": post(b"Content-Length: 18446744073709551620") + b"abcd",
    "a space before the colon": post(b"Content-Length : 4") + b"abcd",
    "chunked, with a space before the colon": post(b"Transfer-Encoding : chunked") + b"0\r\n\r\n",
    "chunked twice": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "chunked, chunked": post(b"Transfer-Encoding: chunked, chunked") + b"0\r\n\r\n",
    "an unknown coding": post(b"Transfer-Encoding: xchunked") + b"0\r\n\r\n",
    "identity": post(b"Transfer-Encoding: identity") + b"abcd",
    "gzip, chunked": post(b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
    "a vertical tab before chunked": post(b"Transfer-Encoding: \x0bchunked") + b"0\r\n\r\n",
    "a quoted coding": post(b'Transfer-Encoding: "chunked"') + b"0\r\n\r\n",
    "chunked in HTTP/1.0": b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a folded header": post(b"X: a", b" b"),
    "a folded length": post(b"Content-Length:", b" 4") + b"abcd",
    "a fold before all headers": b"GET /hello HTTP/1.1\r\n Host: t\r\n\r\n",
    "a bare line feed after a header": b"GET /hello HTTP/1.1\r\nHost: t\n\r\n",
    "bare line feeds": b"GET /hello HTTP/1.1\nHost: t\n\n",
    "a bare line feed as the end": b"GET /hello HTTP/1.1\r\nHost: t\r\n\n",
    "a bare carriage return": b"GET /hello HTTP/1.1\r\nHost: t\rX: y\r\n\r\n",
    "a null byte": b"GET /hello HTTP/1.1\r\nHost: t\r\nX: a\x00b\r\n\r\n",
    "a header without a colon": post(b"Content-Length"),
    "a header without a name": post(b": 4"),
    "a header name with a space": post(b"X Y: 4"),
    "no host": b"GET /hello HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "HTTP/0.9": b"GET /hello\r\n\r\n",
    "HTTP/1.2": b"GET /hello HTTP/1.2\r\nHost: t\r\n\r\n",
    "HTTP/2.0": b"GET /hello HTTP/2.0\r\nHost: t\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a lower-case method": b"get /hello HTTP/1.1\r\nHost: t\r\n\r\n",
    "an unknown method": b"STEAL /hello HTTP/1.1\r\nHost: t\r\n\r\n",
    "a space in the target": b"GET /hel lo HTTP/1.1\r\nHost: t\r\n\r\n",
    "a target of raw bytes": b"GET /hell\xf6 HTTP/1.1\r\nHost: t\r\n\r\n",
    "a relative target": b"GET hello HTTP/1.1\r\nHost: t\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a chunk size with a prefix": CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n",
    "a signed chunk size": CHUNKED + b"-3\r\nabc\r\n0\r\n\r\n",
    "a chunk size after a space": CHUNKED + b" 3\r\nabc\r\n0\r\n\r\n",
    "a chunk size before a space": CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n",
    "no chunk size": CHUNKED + b"\r\nabc\r\n0\r\n\r\n",
    "a chunk size out of range": CHUNKED + b"fffffffffffffffff\r\nabc",
    "a chunk that is longer than it says": CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n",
    "a chunk that does not end": CHUNKED + b"3\r\nabc0\r\n\r\n",
    "a chunk size with a bare line feed": CHUNKED + b"3\nabc\r\n0\r\n\r\n",
    "a chunk extension with a bare line feed": CHUNKED + b"3;x\nabc\r\n0\r\n\r\n",
    "chunks with bare line feeds": CHUNKED + b"3\nabc\n0\n\n",
    "a length among the trailers": CHUNKED + b"0\r\nContent-Length: 30\r\n\r\n",
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
async def test_refused_and_deaf_to_what_follows(client: Client, shape: bytes) -> None:
    await client.send(shape + get("/number/666"))
    answer = await client.answer()
    assert answer.status in (400, 413, 501, 505)
    assert answer.closes
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["status"] == answer.status
    assert b"666" not in await client.rest()


async def test_a_header_that_only_looks_like_a_length_has_no_say(client: Client) -> None:
    await client.send(post(b"Content_Length: 4") + get("/number/1"))
    assert (await client.answer()).body == b""
    assert (await client.answer()).body == b"1"


async def test_hosts_need_no_name(client: Client) -> None:
    assert (await client.ask(b"GET /hello HTTP/1.1\r\nHost:\r\n\r\n")).body == b"hello"

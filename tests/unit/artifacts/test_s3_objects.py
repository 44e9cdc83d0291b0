"""A bucket of S3 is found by its address, is given up when it does not answer, and its errors are short and tell no secret."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from kapelle.artifacts.s3_objects import S3Objects, _reason
from kapelle.errors import ConfigError, StoreError
from tests.unit.artifacts.bucket import Bucket


def test_the_endpoint_is_in_the_address_or_in_the_environment(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    url = bucket.new_url()
    assert S3Objects(url).create("releases/r1.json", b"here")
    plain = url.partition("?")[0]
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
    named = S3Objects(plain + "/")
    assert b"".join(named.read("releases/r1.json")) == b"here"
    assert str(named) == str(S3Objects(url)) == f"{plain} at {bucket.endpoint}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert S3Objects(url).exists("releases/r1.json"), "what the address says counts"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    assert S3Objects(url).exists("releases/r1.json"), "what the address says counts"


def test_a_prefix_has_nothing_of_another_one(bucket: Bucket) -> None:
    one, other = S3Objects(bucket.new_url()), S3Objects(bucket.new_url())
    assert one.create("current/1", b"one")
    assert other.create("current/1", b"other")
    assert b"".join(one.read("current/1")) == b"one"
    root = S3Objects(f"s3://shop?endpoint={bucket.endpoint}")
    assert f"{one.prefix}/current/1" in root.list("apps/")


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "s3:///prefix",
        "http://shop/apps",
        "s3://shop/apps?region=x",
        "s3://shop/a#b",
        "s3://shop?endpoint=host:80",
        "s3://shop?endpoint=http://[bad",
        "s3://shop?endpoint=http://a b:80",
        "s3://sh op/apps",
        "s3://shop/../apps",
        "s3://shop/apps//hall",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"s3://|http"):
        S3Objects(url)


def test_an_address_has_no_password_in_it() -> None:
    for url in ("s3://me:hunter2@shop/apps", "s3://shop/apps?endpoint=http://me:hunter2@host:80"):
        with pytest.raises(ConfigError) as caught:
            S3Objects(url)
        assert "hunter2" not in caught.value.detail


def test_a_bucket_that_is_not_there_is_not_taken_for_an_empty_one(bucket: Bucket) -> None:
    objects = S3Objects(f"s3://nobody/apps?endpoint={bucket.endpoint}")
    for failing in (lambda: b"".join(objects.read("a")), lambda: objects.list("a/"), lambda: objects.create("a", b"")):
        with pytest.raises(
            StoreError, match=r"a.? in s3://nobody/apps at http://.*: 404 .*NoSuchBucket; make the bucket"
        ):
            failing()


class Refusing(BaseHTTPRequestHandler):
    """A store that lets nobody in, and repeats what was sent to it."""

    def do_GET(self) -> None:
        body = f"<Error><Code>SignatureDoesNotMatch</Code><Sent>{self.headers['Authorization']}</Sent></Error>".encode()
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def refusing() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_what_is_refused_says_what_to_check_and_no_secret(bucket: Bucket, refusing: str) -> None:
    with pytest.raises(StoreError) as caught:
        b"".join(S3Objects(f"s3://shop/apps?endpoint={refusing}").read("releases/r1.json"))
    assert caught.value.detail == (
        f"cannot read releases/r1.json in s3://shop/apps at {refusing}: 403 Forbidden, SignatureDoesNotMatch; "
        "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and what they may do with this bucket"
    )
    assert caught.value.__cause__ is None


class Forgetful(BaseHTTPRequestHandler):
    """It stores what it is sent, and then says that it could not."""

    stored: ClassVar[list[bytes]] = []

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = 412 if self.stored else 500
        self.stored.append(body)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


def test_nobody_is_said_to_have_lost_who_may_have_won(bucket: Bucket) -> None:
    """Asked again, it would answer that the object is there already: by another one, it would seem."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Forgetful) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with pytest.raises(StoreError, match=r"cannot write current/1 in .*: 500"):
                S3Objects(f"s3://shop/apps?endpoint=http://127.0.0.1:{server.server_port}").create("current/1", b"mine")
        finally:
            server.shutdown()
            thread.join()
    assert Forgetful.stored == [b"mine"]


def test_a_store_that_never_answers_is_given_up(bucket: Bucket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        objects = S3Objects(f"s3://shop/apps?endpoint=http://127.0.0.1:{silent.getsockname()[1]}", patience=1.5)
        for failing in (lambda: b"".join(objects.read("a")), lambda: objects.create("a", b"x")):
            began = time.monotonic()
            with pytest.raises(
                StoreError, match=r"cannot .* a in .*: no answer in time; check that the endpoint answers"
            ):
                failing()
            assert time.monotonic() - began < 5


def test_one_that_stops_in_the_middle_is_given_up(bucket: Bucket) -> None:
    """It sends a part of an object, and then nothing, whenever it is asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stalling = threading.Thread(target=stall, args=(server,), daemon=True)
        stalling.start()
        objects = S3Objects(f"s3://shop/apps?endpoint=http://127.0.0.1:{server.getsockname()[1]}", patience=1.5)
        began = time.monotonic()
        with pytest.raises(StoreError, match="cannot read a in"):
            b"".join(objects.read("a"))
        assert time.monotonic() - began < 10


def stall(server: socket.socket) -> None:
    held = []
    with suppress(OSError):
        while True:
            connection, _ = server.accept()
            held.append(connection)
            asked = b""
            while not asked.endswith(b"\r\n\r\n"):
                asked += connection.recv(4096)
            head = (
                b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 1-9999/10000\r\nContent-Length: 9999\r\n"
                if b"\nrange:" in asked.lower()
                else b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n"
            )
            connection.sendall(head + b'ETag: "1"\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n\r\n' + b"x")


class Breaking(BaseHTTPRequestHandler):
    """It sends half of what it says it will, whenever it is asked for the rest."""

    def do_GET(self) -> None:
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if start else 200)
        heads = {"ETag": '"e"', "Last-Modified": self.date_time_string(), "Content-Length": str(8 - start)}
        for name, value in {**heads, "Content-Range": f"bytes {start}-7/8"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"x" * ((8 - start) // 2))

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


def test_an_answer_that_breaks_off_is_told(bucket: Bucket) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Breaking) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            objects = S3Objects(f"s3://shop/apps?endpoint=http://127.0.0.1:{server.server_port}", patience=1.5)
            with pytest.raises(StoreError, match="the answer broke off; check that the endpoint answers"):
                b"".join(objects.read("a"))
        finally:
            server.shutdown()
            thread.join()


def test_a_host_that_is_not_there_is_told() -> None:
    # Said by the library of http://nowhere.invalid; whether a machine can find that out is a matter of its network.
    assert (
        _reason(OSError('HttpError { source: Connect, ConnectError("dns error", "failed to lookup") }'))
        == "no such host"
    )

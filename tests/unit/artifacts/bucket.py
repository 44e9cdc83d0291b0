"""A bucket of S3: a real server that speaks its protocol, in a thread."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator
from http.client import HTTPConnection
from typing import Any

import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

_prefixes = itertools.count()
"""All servers of a process have the same buckets."""


class Bucket:
    """The bucket ``shop``; every test has a prefix of its own in it."""

    def __init__(self) -> None:
        app: Any = DomainDispatcherApplication(create_backend_app)
        lock = threading.Lock()

        def one_by_one(environ: Any, start: Any) -> Iterable[bytes]:
            # Unlike S3, the server looks whether an object is there and then stores it: not in one step.
            with lock:
                found: Iterable[bytes] = app(environ, start)
                return found

        self._server = make_server("127.0.0.1", 0, one_by_one, threaded=True, request_handler=MotoRequestHandler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        connection = HTTPConnection("127.0.0.1", self._server.server_port)
        connection.request("PUT", "/shop", body=b"")
        assert connection.getresponse().status == 200
        connection.close()

    def new_url(self) -> str:
        """The address of a store that is empty."""
        return f"s3://shop/apps/{next(_prefixes)}?endpoint={self.endpoint}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(scope="session")
def server() -> Iterator[Bucket]:
    bucket = Bucket()
    yield bucket
    bucket.close()


@pytest.fixture
def bucket(server: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-well-kept-secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return server

"""What is particular to the client for threads; its calls are tested with real servers, in tests/integration/client."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from kapelle.client import Client
from kapelle.errors import DeadlineExceeded, Overloaded


def answering(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json=str(request.url))


def test_threads_may_share_one() -> None:
    with Client("http://gateway", transport=httpx.MockTransport(answering)) as client, ThreadPoolExecutor(8) as threads:
        paths = [f"/{number}" for number in range(64)]
        assert list(threads.map(client.get, paths)) == [f"http://gateway{path}" for path in paths]


def test_a_transport_of_the_callers_own_is_closed_with_the_client() -> None:
    class Transport(httpx.BaseTransport):
        closed = False

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            return answering(request)

        def close(self) -> None:
            self.closed = True

    transport = Transport()
    with Client("http://gateway", transport=transport) as client:
        assert client.get("/x") == "http://gateway/x"
    assert transport.closed


class Drops(httpx.SyncByteStream):
    """A body that never ends, and is late with every part."""

    def __init__(self) -> None:
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield b"data: 1\n\n"

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("name", ["get", "stream"])
def test_a_body_that_comes_in_drops_ends_with_the_deadline(name: str) -> None:
    body = Drops()

    def respond(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=body)

    with Client("http://gateway", transport=httpx.MockTransport(respond)) as client:

        def read() -> None:
            if name == "get":
                client.get("/x", timeout="50ms")
            else:
                list(client.stream("/x", timeout="50ms"))

        with pytest.raises(DeadlineExceeded, match=r"within 0.05 s"):
            read()
    assert body.closed


def test_a_stream_is_asked_for_with_its_first_item() -> None:
    asked = []

    def refuse(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(429)

    with Client("http://gateway", retries=0, transport=httpx.MockTransport(refuse)) as client:
        items = client.stream("/x")
        assert not asked
        with pytest.raises(Overloaded):
            next(items)
    assert len(asked) == 1

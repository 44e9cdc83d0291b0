"""What is particular to the client for tasks; its calls are tested with real servers, in tests/integration/client."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator

import httpx
import pytest

from kapelle.client import AsyncClient, Client
from kapelle.errors import CallError, DeadlineExceeded


def public(kind: type) -> dict[str, inspect.Signature]:
    """Methods with what they take."""
    found = {name: one for name, one in vars(kind).items() if inspect.isfunction(one) and not name.startswith("_")}
    return {name: inspect.signature(one) for name, one in found.items()}


def test_both_clients_have_the_same_calls() -> None:
    ours, theirs = public(AsyncClient), public(Client)
    assert ours.keys() == theirs.keys()
    for name, signature in ours.items():
        assert signature.parameters == theirs[name].parameters, name


async def test_tasks_may_share_one() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=str(request.url))

    async with AsyncClient("http://gateway", transport=httpx.MockTransport(answer)) as client:
        paths = [f"/{number}" for number in range(64)]
        found = await asyncio.gather(*(client.get(path) for path in paths))
    assert found == [f"http://gateway{path}" for path in paths]


def test_one_belongs_to_the_loop_of_its_first_call() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=1)

    client = AsyncClient("http://gateway", transport=httpx.MockTransport(answer))
    assert asyncio.run(client.get("/x")) == 1
    with pytest.raises(CallError, match="another event loop; make one in each"):
        asyncio.run(client.get("/x"))


class Silence(httpx.AsyncByteStream):
    """A body of which nothing comes."""

    closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.parametrize("name", ["get", "stream"])
async def test_the_deadline_counts_while_the_body_comes(name: str) -> None:
    body = Silence()

    def respond(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=body)

    async with AsyncClient("http://gateway", transport=httpx.MockTransport(respond)) as client:
        with pytest.raises(DeadlineExceeded, match=r"within 0.05 s"):
            await (client.get("/x", timeout=0.05) if name == "get" else anext(client.stream("/x", timeout=0.05)))
    assert body.closed


async def test_a_task_that_is_cancelled_gives_its_connection_back() -> None:
    body, reached = Silence(), asyncio.Event()

    async def respond(_: httpx.Request) -> httpx.Response:
        reached.set()
        return httpx.Response(200, stream=body)

    async with AsyncClient("http://gateway", transport=httpx.MockTransport(respond)) as client:
        task = asyncio.ensure_future(client.get("/x"))
        await reached.wait()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert body.closed

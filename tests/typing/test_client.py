"""What type checkers see of the clients: an answer has the type that the caller asked for."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any, assert_type

import msgspec
import numpy as np
from numpy.typing import NDArray

from kapelle.client import AsyncClient, Client, ModelState


class Answer(msgspec.Struct):
    text: str


def by_threads(client: Client) -> None:
    """Never run, as all of this file."""
    assert_type(client.get("/x", returns=Answer), Answer)
    assert_type(client.get("/x"), Any)
    assert_type(client.post("/x", {"a": 1}, returns=list[Answer], timeout="2s", idempotent=False), list[Answer])
    assert_type(client.call("Encoder.embed", sentences=["a"], returns=Answer), Answer)
    assert_type(client.stream("/x", item=Answer), Generator[Answer, None, None])
    assert_type(client.predict("M", [1], returns=list[int]), list[int])
    assert_type(client.embed("M", ["a"]), NDArray[np.float32])
    assert_type(client.models(), list[ModelState])
    assert_type(client.ready(), bool)


async def by_tasks(client: AsyncClient) -> None:
    assert_type(await client.get("/x", returns=Answer), Answer)
    assert_type(await client.post("/x", {"a": 1}), Any)
    assert_type(await client.call("Encoder.embed", sentences=["a"], returns=Answer), Answer)
    assert_type(client.stream("/x", item=Answer), AsyncGenerator[Answer, None])
    assert_type(await client.predict("M", [1], returns=list[int]), list[int])
    assert_type(await client.infer("M", {"x": [1]}), dict[str, np.ndarray[Any, np.dtype[Any]]])


def wrong_calls(client: Client) -> None:
    """Never run: each line is refused."""
    client.get("/x", timeouts="2s")  # type: ignore[call-overload]  # no such option
    client.infer("M", {"x": [1]}, protocol="soap")  # type: ignore[arg-type]  # no such protocol
    client.embed("M", [1])  # type: ignore[list-item]  # texts

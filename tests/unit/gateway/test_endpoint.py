"""Endpoints: arguments in, answers out, and what is measured of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import numpy as np
import pydantic
import pytest

import kapelle
from kapelle.declare.apps import app_spec
from kapelle.gateway.endpoint import BINARY, JSON, TEXT, Endpoint, Traffic
from kapelle.observe.metrics import Registry
from tests.unit.gateway.recorder import make_request


class Point(msgspec.Struct):
    x: int


class Model(pydantic.BaseModel):
    name: str


@kapelle.app
class App:
    @kapelle.post("/fields")
    async def fields(self, a: int, b: str = "b") -> list[Any]:
        return [a, b]

    @kapelle.get("/items/{name}", timeout="2s")
    async def item(self, name: str, count: int = 1) -> list[Any]:
        return [name, count]

    @kapelle.post("/stream")
    async def stream(self, count: int) -> AsyncIterator[int]:
        for number in range(count):
            yield number


def endpoint(name: str) -> Endpoint:
    spec = app_spec(App)
    assert spec is not None
    return Endpoint(next(one for one in spec.endpoints if one.name == name), 30.0, Registry())


def encoded(value: Any) -> tuple[bytes, bytes]:
    content_type, body, headers = endpoint("fields").encode(make_request("POST", b"/fields", b""), value)
    assert headers == ()
    return content_type, body


async def test_arguments_reach_the_app() -> None:
    assert await endpoint("fields").begin(App().fields, make_request("POST", b"/fields", b'{"a": 1}'), {}) == [1, "b"]
    request = make_request("GET", b"/items/n")
    request.query = b"count=3"
    assert await endpoint("item").begin(App().item, request, {"name": "n%2F"}) == ["n/", 3]


async def test_streams() -> None:
    stream = endpoint("stream").begin_stream(App().stream, make_request("POST", b"/stream", b'{"count": 3}'), {})
    assert [item async for item in stream] == [0, 1, 2]


def test_timeouts() -> None:
    assert endpoint("fields").timeout == 30.0
    assert endpoint("item").timeout == 2.0


@pytest.mark.parametrize(
    ("value", "content_type", "body"),
    [
        ("ü", TEXT, "ü".encode()),
        (b"\xff", BINARY, b"\xff"),
        (bytearray(b"ab"), BINARY, b"ab"),
        (memoryview(b"abc")[1:], BINARY, b"bc"),
        (None, JSON, b"null"),
        ({"a": [1, 2.5, "ü"]}, JSON, '{"a":[1,2.5,"ü"]}'.encode()),
        (Point(1), JSON, b'{"x":1}'),
        ([Model(name="n")], JSON, b'[{"name":"n"}]'),
        (np.arange(4).reshape(2, 2), JSON, b"[[0,1],[2,3]]"),
        ({"n": np.float32(0.5), "b": np.bool_(True)}, JSON, b'{"n":0.5,"b":true}'),
    ],
)
def test_answers(value: Any, content_type: bytes, body: bytes) -> None:
    assert encoded(value) == (content_type, body)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), r"the result holds NaN at \$, which"),
        (np.array([np.nan]), r"NaN at \$\[0\],"),
        ({"a": [np.array([1, -np.inf], np.float16)]}, r"-infinity at \$\.a\[0\]\[1\],"),
    ],
)
def test_answers_that_json_cannot_carry(value: Any, message: str) -> None:
    with pytest.raises(kapelle.ContractError, match=message):
        encoded(value)


def test_measures() -> None:
    registry = Registry()
    traffic = Traffic("one", registry)
    for status in (200, 200, 404):
        traffic.count(status)
    traffic.running[make_request()] = None
    values = {
        (family.name, dict(sample.labels).get("status")): sample.value
        for family in registry.collect()
        for sample in family.samples
    }
    assert values["kapelle_requests_total", "200"] == 2
    assert values["kapelle_requests_total", "404"] == 1
    assert values["kapelle_requests_in_flight", None] == 1

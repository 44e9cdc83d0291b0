"""Whatever a server answers, a client gives a value or a ``CallError``."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import httpx
import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kapelle.client import Client
from kapelle.errors import CallError

NAMES = st.sampled_from(
    [
        "data",
        "index",
        "embedding",
        "outputs",
        "name",
        "datatype",
        "shape",
        "parameters",
        "binary_data_size",
        "predictions",
        "error",
        "message",
        "code",
        "type",
        "detail",
        "errors",
        "path",
        "versions",
        "inputs",
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 2**63)
    | st.floats(allow_nan=False)
    | st.sampled_from(["INT8", "BYTES", "FP32", "AAAA", ""])
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)
OUTPUT = st.fixed_dictionaries(
    {
        "name": st.just("y"),
        "datatype": st.sampled_from(["INT8", "BYTES", "BF16", "BOOL", "FP8"]),
        "shape": st.lists(st.integers(-1, 4), max_size=3),
    },
    optional={
        "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(-1, 20) | st.text(max_size=2)}),
        "data": st.lists(VALUES, max_size=4),
    },
)
BODIES = st.one_of(
    st.binary(max_size=50),
    VALUES.map(msgspec.json.encode),
    st.lists(OUTPUT, max_size=3).map(lambda one: msgspec.json.encode({"outputs": one})),
    st.binary(max_size=30).map(lambda one: b"data: " + one + b"\n\n"),
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "content-type": st.sampled_from(["application/json", "text/plain", "text/event-stream", "x", ""]),
        "retry-after": st.sampled_from(["0", "-1", "x", "999"]),
        "inference-header-content-length": st.integers(-1, 60).map(str) | st.just("x"),
        "content-encoding": st.sampled_from(["gzip", "deflate", "none"]),
    },
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([200, 200, 200, 204, 301, 400, 404, 429, 500, 503]), HEADERS, BODIES, st.binary(max_size=12))
def test_whatever_a_server_answers(status: int, headers: dict[str, str], body: bytes, tail: bytes) -> None:
    def respond(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, headers=headers, stream=httpx.ByteStream(body + tail))

    with Client("http://gateway", retries=0, transport=httpx.MockTransport(respond)) as client:
        calls: list[Any] = [
            lambda: client.get("/x"),
            lambda: client.post("/x", returns=list[int]),
            lambda: client.get("/x", returns=np.ndarray),
            lambda: list(client.stream("/x")),
            lambda: client.infer("M", {"x": [1]}),
            lambda: client.embed("M", ["a"]),
            lambda: client.predict("M", [1]),
            client.models,
            lambda: client.metadata("M"),
            client.ready,
        ]
        for call in calls:
            with suppress(CallError):
                call()

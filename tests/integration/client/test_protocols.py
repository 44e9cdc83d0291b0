"""The same call over HTTP, over gRPC and in Python gives the same answer."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from kapelle.client import AsyncClient
from kapelle.errors import CallError, ConfigError, DeadlineExceeded, InvalidInput, Unavailable
from kapelle.testing import ProcessSystem, running_processes
from tests.integration.client.either import KINDS
from tests.integration.client.gallery import Encoder, Gallery, Scaler


@pytest.fixture
async def system() -> AsyncIterator[ProcessSystem]:
    async with running_processes(Gallery) as system:
        yield system


async def test_one_answer_by_every_way(system: ProcessSystem) -> None:
    values = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    expected = await Scaler().scale(values, 1.5)
    port = (urlsplit(system.url).port or 0) + 1
    for kind in KINDS:
        by_http, by_grpc = kind(system.url), kind(f"grpc://127.0.0.1:{port}")
        inputs = {"values": values, "factor": 1.5}
        ways = [
            await by_http.ask("infer", "Scaler.scale", inputs),
            await by_http.ask("infer", "Scaler.scale", inputs, ["output"], protocol="grpc"),
            await by_grpc.ask("infer", "Scaler.scale", inputs),
        ]
        for found in ways:
            np.testing.assert_array_equal(found["output"], expected, strict=True)
        called = await by_http.ask("call", "Scaler.scale", values=values, factor=1.5, returns=np.ndarray)
        np.testing.assert_array_equal(np.asarray(called, np.float32), expected)
        await check_texts(by_http, by_grpc)
        await check_what_there_is(by_http, by_grpc)
        await check_refusals(by_grpc)
        for client in (by_http, by_grpc):
            await client.close()


async def check_texts(by_http: Any, by_grpc: Any) -> None:
    sentences = ["eel", "größe"]
    expected = [np.array(one) for one in await Encoder().embed.many(sentences)]
    for client in (by_http, by_grpc):
        found = await client.ask("infer", "Encoder", {"sentences": sentences})
        np.testing.assert_array_equal(found["output"], np.stack(expected))
        words = await client.ask("infer", "Scaler.name", {"words": np.array(sentences)})
        assert words["output"].tolist() == [b"EEL", "GRÖSSE".encode()]
    np.testing.assert_array_equal(await by_http.ask("embed", "Encoder", sentences), np.stack(expected))
    assert await by_http.ask("predict", "Encoder", sentences) == np.stack(expected).tolist()


async def check_what_there_is(by_http: Any, by_grpc: Any) -> None:
    assert await by_http.ask("models") == await by_grpc.ask("models") == await by_http.ask("models", protocol="grpc")
    assert await by_http.ask("metadata", "Encoder") == await by_grpc.ask("metadata", "Encoder")
    for client in (by_http, by_grpc):
        assert await client.ask("ready")
        assert await client.ask("live")


async def check_refusals(by_grpc: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        await by_grpc.ask("infer", "Scaler.scale", {"values": np.arange(3)})
    assert refused.value.path == "inputs[0].datatype"
    with pytest.raises(CallError, match=r"NOT_FOUND: unknown model 'Painter'.* \(request mine\)"):
        await by_grpc.ask("infer", "Painter", {"x": [1]}, headers={"X-Request-Id": "mine"})
    with pytest.raises(DeadlineExceeded):
        await by_grpc.ask("infer", "Scaler.name", {"words": ["a"]}, timeout=0)
    with pytest.raises(ConfigError, match="speaks gRPC only"):
        await by_grpc.ask("get", "/sum")


async def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        address = f"grpc://127.0.0.1:{taken.getsockname()[1]}"
        for kind in KINDS:
            client = kind(address, retries=0)
            with pytest.raises(Unavailable, match="see that a gateway serves gRPC there"):
                await client.ask("infer", "M", {"x": [1]})
            assert not await client.ask("ready")
            await client.close()


async def test_a_protocol_that_does_not_exist() -> None:
    async with AsyncClient("http://127.0.0.1:1") as client:
        with pytest.raises(ConfigError, match="expected http or grpc"):
            await client.models(protocol="soap")  # type: ignore[arg-type]  # what the test is about

"""The field's clients against real processes: unchanged, through several gateways, and with some of them killed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ml_dtypes
import numpy as np
import openai
import pytest
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException

from kapelle.testing import ProcessSystem, running_processes
from tests.integration.processes.models import Models

X = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.fixture
async def system() -> AsyncIterator[ProcessSystem]:
    async with running_processes(Models, gateways=2) as found:
        yield found


def address(system: ProcessSystem, *, grpc: bool) -> str:
    host, _, port = system.url.removeprefix("http://").rpartition(":")
    return f"{host}:{int(port) + grpc}"


def tensor(client: Any, name: str, datatype: str, values: Any) -> Any:
    found = client.InferInput(name, list(values.shape), datatype)
    found.set_data_from_numpy(values)
    return found


KINDS = pytest.mark.parametrize("kind", [tritonclient.http, tritonclient.grpc], ids=["http", "grpc"])


@KINDS
async def test_tritons_client_works_unchanged(system: ProcessSystem, kind: Any) -> None:
    await asyncio.to_thread(_use, kind, address(system, grpc=kind is tritonclient.grpc))


def _use(kind: Any, url: str) -> None:
    with kind.InferenceServerClient(url) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("Doubler")
        assert not _is_there(client, "Nobody")
        for _ in range(20):
            found = client.infer("Doubler", [tensor(kind, "x", "FP32", X)])
            assert np.array_equal(found.as_numpy("output"), X * 2)
        for datatype, dtype in (("FP16", np.float16), ("BF16", ml_dtypes.bfloat16)):
            found = client.infer("Doubler", [tensor(kind, "x", datatype, X.astype(dtype))])
            assert np.array_equal(found.as_numpy("output"), X * 2)
        texts = np.array([b"a", "ä".encode()], dtype=object)
        found = client.infer("Words.shout", [tensor(kind, "texts", "BYTES", texts)])
        assert found.as_numpy("output").tolist() == [b"A", "Ä".encode()]
        with pytest.raises(InferenceServerException, match="expects"):
            client.infer("Doubler", [tensor(kind, "x", "FP32", X[0])])


def _is_there(client: Any, model: str) -> bool:
    try:
        return bool(client.is_model_ready(model))
    except InferenceServerException:
        return False


@pytest.mark.parametrize("kind", [tritonclient.http.aio, tritonclient.grpc.aio], ids=["http", "grpc"])
async def test_tritons_asynchronous_client_works_unchanged(system: ProcessSystem, kind: Any) -> None:
    grpc = kind is tritonclient.grpc.aio
    plain = tritonclient.grpc if grpc else tritonclient.http
    async with kind.InferenceServerClient(address(system, grpc=grpc)) as client:
        asked = [client.infer("Doubler", [tensor(plain, "x", "FP32", X + at)]) for at in range(30)]
        for at, found in enumerate(await asyncio.gather(*asked)):
            assert np.array_equal(found.as_numpy("output"), (X + at) * 2)


@contextmanager
def memory(name: str, size: int) -> Iterator[Any]:
    handle = shm.create_shared_memory_region(name, f"/{name}_{os.getpid()}", size)
    try:
        yield handle
    finally:
        shm.destroy_shared_memory_region(handle)


@KINDS
async def test_tensors_lie_in_shared_memory_whichever_gateway_is_asked(system: ProcessSystem, kind: Any) -> None:
    await asyncio.to_thread(_share, kind, address(system, grpc=kind is tritonclient.grpc))


def _share(kind: Any, url: str) -> None:
    with memory("in", X.nbytes) as inward, memory("out", X.nbytes) as outward:
        shm.set_shared_memory_region(inward, [X])
        with kind.InferenceServerClient(url) as client:
            client.register_system_shared_memory("in", f"/in_{os.getpid()}", X.nbytes)
            client.register_system_shared_memory("out", f"/out_{os.getpid()}", X.nbytes)
        asked = kind.InferInput("x", list(X.shape), "FP32")
        asked.set_shared_memory("in", X.nbytes)
        wanted = kind.InferRequestedOutput("output")
        wanted.set_shared_memory("out", X.nbytes)
        for _ in range(10):
            # Each connection may reach another gateway.
            shm.set_shared_memory_region(outward, [np.zeros_like(X)])
            with kind.InferenceServerClient(url) as client:
                client.infer("Doubler", [asked], outputs=[wanted])
            assert np.array_equal(shm.get_contents_as_numpy(outward, np.float32, X.shape), X * 2)
        os.truncate(f"/dev/shm/in_{os.getpid()}", 4)
        with kind.InferenceServerClient(url) as client:
            with pytest.raises(InferenceServerException, match="too few"):
                client.infer("Doubler", [asked], outputs=[wanted])
            client.unregister_system_shared_memory()
            with pytest.raises(InferenceServerException, match="not registered"):
                client.infer("Doubler", [asked], outputs=[wanted])


async def test_openais_client_works_unchanged(system: ProcessSystem) -> None:
    async with openai.AsyncOpenAI(base_url=f"{system.url}/v1", api_key="none") as client:
        # Where no form is asked for, the client asks for base64, and reads it.
        for form in (openai.omit, "float"):
            found = await client.embeddings.create(model="Words.embed", input=["a", "bcd"], encoding_format=form)
            assert [one.embedding for one in found.data] == [[1.0] * 3, [3.0] * 3]
        assert "Words.embed" in [one.id async for one in client.models.list()]
        with pytest.raises(openai.NotFoundError, match=r"there is Words\.embed"):
            await client.embeddings.create(model="none", input="a")
        with pytest.raises(openai.BadRequestError, match="empty"):
            await client.embeddings.create(model="Words.embed", input="")


async def test_a_gateway_that_is_killed_takes_its_connections_and_no_more(system: ProcessSystem) -> None:
    asked = [tensor(tritonclient.grpc, "x", "FP32", X)]
    async with tritonclient.grpc.aio.InferenceServerClient(address(system, grpc=True)) as client:
        for name in ("gateway-0", "gateway-1"):
            await client.infer("Doubler", asked)
            pid = system.kill(name)
            await system.restarted(name, pid)
            found = await _soon(lambda: client.infer("Doubler", asked))
            assert np.array_equal(found.as_numpy("output"), X * 2)


async def _soon(ask: Callable[[], Any]) -> Any:
    """The answer, when the client has found out that its connection is gone, and has made another."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await ask()
            except InferenceServerException:
                continue


async def test_one_call_has_one_answer_whatever_the_way(system: ProcessSystem) -> None:
    expected = (X * 2).tolist()
    inputs = [{"name": "x", "shape": [3, 4], "datatype": "FP32", "data": X.tolist()}]
    by_v2 = (await system.client.post("/v2/models/Doubler/infer", json={"inputs": inputs})).json()
    by_v1 = (await system.client.post("/v1/models/Doubler:predict", json={"instances": X.tolist()})).json()
    by_path = (await system.client.post("/services/doubler", json={"x": X.tolist()})).json()
    by_app = [(await system.client.post("/double", json={"x": row})).json() for row in X.tolist()]
    async with tritonclient.grpc.aio.InferenceServerClient(address(system, grpc=True)) as client:
        by_grpc = await client.infer("Doubler", [tensor(tritonclient.grpc, "x", "FP32", X)])
    assert np.reshape(by_v2["outputs"][0]["data"], (3, 4)).tolist() == expected
    assert by_v1["predictions"] == by_path == by_app == by_grpc.as_numpy("output").tolist() == expected


async def test_nothing_is_left_when_it_ends(system: ProcessSystem) -> None:
    with memory("left", 64):
        client = tritonclient.http.aio.InferenceServerClient(address(system, grpc=False))
        await client.register_system_shared_memory("left", f"/left_{os.getpid()}", 64)
        await client.close()
        folder = system.run.sockets
        assert list(folder.glob("*.region"))
        await system.stop()
        assert not folder.exists()
        assert system.outcomes == []

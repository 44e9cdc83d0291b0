"""The routes that infer nothing, asked over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from multiprocessing import shared_memory
from typing import Any

import httpx
import pytest

from kapelle.testing import running
from tests.unit.gateway.protocols.zoo import Zoo


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with running(Zoo) as system:
        yield system.client


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/Doubler/ready", {"name": "Doubler", "ready": True}),
        ("/v2/models/Doubler/versions/local/ready", {"name": "Doubler", "ready": True}),
        ("/v2/systemsharedmemory/status", []),
        ("/v2/cudasharedmemory/status", []),
    ],
)
async def test_states(client: httpx.AsyncClient, path: str, expected: Any) -> None:
    response = await client.get(path)
    assert (response.status_code, response.json()) == (200, expected)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v2", "extensions"),
        ("/v2/models/Doubler", "inputs"),
        ("/v2/models/Doubler/versions/local", "inputs"),
        ("/v2/models/Doubler/config", "max_batch_size"),
        ("/v2/models/Doubler/stats", "model_stats"),
        ("/v2/models/stats", "model_stats"),
    ],
)
async def test_descriptions(client: httpx.AsyncClient, path: str, field: str) -> None:
    response = await client.get(path)
    assert response.status_code == 200
    assert field in response.json()


async def test_the_repository_lists_what_is_there(client: httpx.AsyncClient) -> None:
    every = (await client.post("/v2/repository/index")).json()
    assert {"Doubler.double", "Animals.echo"} <= {one["name"] for one in every}
    assert (await client.post("/v2/repository/index", json={"ready": True})).json() == every


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("GET", "/v2/models/none", 404, "unknown model 'none'"),
        ("GET", "/v1/models/none", 404, "unknown model 'none'"),
        ("POST", "/v1/models/none:predict", 404, "unknown model 'none'"),
        ("GET", "/v1/models/Doubler:predict", 405, "takes POST"),
        ("GET", "/v2/models/Doubler/versions/9", 404, "no version '9'"),
        ("POST", "/v2/models/none/infer", 404, "unknown model 'none'"),
        ("POST", "/v2/models/none/versions/9/infer", 404, "unknown model 'none'"),
        ("POST", "/v2/repository/models/none/load", 404, "unknown model 'none'"),
        ("POST", "/v2/repository/models/Doubler/load", 400, "with their release"),
        ("POST", "/v2/repository/models/Doubler/unload", 400, "with their release"),
        ("GET", "/v2/systemsharedmemory/region/r/status", 400, "not registered"),
        ("POST", "/v2/systemsharedmemory/region/r/register", 400, "not JSON"),
        ("POST", "/v2/cudasharedmemory/region/r/register", 400, "GPU"),
        ("GET", "/v2/logging", 400, "not by its clients"),
        ("POST", "/v2/trace/setting", 400, "not by its clients"),
        ("GET", "/v2/models/Doubler/trace/setting", 400, "not by its clients"),
    ],
)
async def test_refusals(client: httpx.AsyncClient, method: str, path: str, status: int, said: str) -> None:
    response = await client.request(method, path)
    assert response.status_code == status
    assert list(response.json()) == ["error"]
    assert said in response.json()["error"]


async def test_a_model_is_no_prediction(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/models/Doubler:predict")).headers["allow"] == "POST"
    response = await client.post("/v1/models/Doubler", json={"instances": [[1, 2, 3, 4]]})
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")
    assert (await client.post("/v1/models/Doubler:explain", json={})).status_code == 405


async def test_what_is_refused_unread_is_told_in_the_form_of_its_protocol() -> None:
    async with running(Zoo, max_body=100) as system:
        for path in (
            "/v2/models/Doubler/infer",
            "/v2/models/Doubler/versions/local/infer",
            "/v1/models/Doubler:predict",
        ):
            response = await system.client.post(path, content=bytes(101))
            assert (response.status_code, response.json()) == (
                413,
                {"error": "the body is over the limit of 100 bytes"},
            )
        response = await system.client.post("/v1/embeddings", content=bytes(101))
        assert (response.status_code, response.json()["error"]["code"]) == (413, "too-large")


async def test_models_are_listed_for_clients_of_kserve_and_openai(client: httpx.AsyncClient) -> None:
    every = (await client.get("/v1/models")).json()
    assert "Doubler.double" in every["models"]
    assert [one["id"] for one in every["data"]] == every["models"]
    one = (await client.get("/v1/models/Doubler")).json()
    assert (one["name"], one["ready"], one["id"], one["object"]) == ("Doubler", True, "Doubler", "model")


async def test_memory_is_registered_and_forgotten(client: httpx.AsyncClient) -> None:
    memory = shared_memory.SharedMemory(create=True, size=64)
    try:
        path = "/v2/systemsharedmemory/region/r"
        body = {"key": memory.name, "byte_size": 64}
        assert (await client.post(f"{path}/register", json=body)).status_code == 200
        assert (await client.get(f"{path}/status")).json() == [
            {"name": "r", "key": memory.name, "offset": 0, "byte_size": 64}
        ]
        assert (await client.post(f"{path}/register", json=body)).status_code == 400
        wrong = await client.post(f"{path}/register", json={"key": 3})
        assert (wrong.status_code, wrong.json()) == (400, {"error": "key: Expected `str`, got `int`"})
        assert (await client.post(f"{path}/unregister")).status_code == 200
        assert (await client.get("/v2/systemsharedmemory/status")).json() == []
        assert (await client.post("/v2/systemsharedmemory/unregister")).status_code == 200
    finally:
        memory.close()
        memory.unlink()

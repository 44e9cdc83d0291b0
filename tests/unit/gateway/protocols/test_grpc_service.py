"""The inference service, called by a client of the field and by one that lies."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from types import FrameType
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import InferInput, service_pb2
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from kapelle.oip.grpc_messages import MESSAGES, SERVICE, STATUS
from tests.unit.gateway.protocols.conftest import GrpcZoo


@pytest.fixture
async def client(zoo: GrpcZoo) -> AsyncIterator[InferenceServerClient]:
    async with InferenceServerClient(zoo.address) as found:
        yield found


def rows(count: int = 2) -> Any:
    found = InferInput("x", [count, 4], "FP32")
    found.set_data_from_numpy(np.arange(4 * count, dtype=np.float32).reshape(count, 4))
    return found


async def test_health_and_descriptions(client: InferenceServerClient) -> None:
    assert await client.is_server_live()
    assert await client.is_server_ready()
    assert await client.is_model_ready("Doubler", "r1")
    assert (await client.get_server_metadata()).name == "kapelle"
    metadata = await client.get_model_metadata("Doubler")
    assert (metadata.inputs[0].name, list(metadata.inputs[0].shape)) == ("x", [-1, 4])
    config = (await client.get_model_config("Animals.both")).config
    assert [one.name for one in config.input] == ["a", "words", "scale"]
    assert "Doubler.double" in {one.name for one in (await client.get_model_repository_index()).models}
    assert (await client.get_system_shared_memory_status()).regions == {}
    assert (await client.get_inference_statistics("Doubler")).model_stats[0].inference_count == 0


async def test_nothing_is_ready_in_a_gateway_that_ends(zoo: GrpcZoo, client: InferenceServerClient) -> None:
    zoo.assembly.gateway.draining = True
    assert not await client.is_server_ready()
    assert not await client.is_model_ready("Doubler")


async def test_an_inference(zoo: GrpcZoo, client: InferenceServerClient) -> None:
    found = await client.infer("Doubler", [rows()], request_id="7", model_version="r1")
    assert found.as_numpy("y").tolist() == [[0, 2, 4, 6], [8, 10, 12, 14]]
    assert (found.get_response().id, found.get_response().model_version) == ("7", "r1")
    assert (await client.get_inference_statistics("Doubler")).model_stats[0].inference_count == 1
    assert zoo.assembly.in_flight == 0


@pytest.mark.parametrize(
    ("model", "version", "code"),
    [("none", "", "NOT_FOUND"), ("Doubler", "r2", "NOT_FOUND"), ("Animals.both", "", "INVALID_ARGUMENT")],
)
async def test_refusals(client: InferenceServerClient, model: str, version: str, code: str) -> None:
    with pytest.raises(InferenceServerException) as refused:
        await client.infer(model, [rows()], version)
    assert refused.value.status() == f"StatusCode.{code}"


@pytest.mark.parametrize(("asked", "status"), [({"model_name": "none"}, "404"), ({"model_name": "Doubler"}, "400")])
async def test_refusals_have_the_status_of_http_beside_them(zoo: GrpcZoo, asked: dict[str, str], status: str) -> None:
    async with grpc.aio.insecure_channel(zoo.address) as opened:
        channel: Any = opened
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_unary(f"/{SERVICE}/ModelInfer")(
                MESSAGES["ModelInferRequest"](**asked).SerializeToString()
            )
    assert (STATUS, status) in list(refused.value.trailing_metadata())


async def test_what_was_asked_is_not_kept_by_a_refusal(client: InferenceServerClient) -> None:
    for refused in (
        client.infer("none", [rows()]),
        client.load_model("Doubler"),
        client.get_model_metadata("none"),
    ):
        with pytest.raises(InferenceServerException):
            await refused
    gc.collect()
    handlers = {"_infer", "_ask", "_no_control", "answer"}
    frames = [one for one in gc.get_objects() if isinstance(one, FrameType) and one.f_code.co_name in handlers]
    assert not [one.f_code.co_name for one in frames if "context" in one.f_locals]


async def test_what_is_not_served_says_so(client: InferenceServerClient) -> None:
    for control in (client.load_model, client.unload_model):
        with pytest.raises(InferenceServerException, match="with their release"):
            await control("Doubler")
    with pytest.raises(InferenceServerException, match="unknown model"):
        await client.get_model_metadata("none")
    with pytest.raises(InferenceServerException, match="not registered"):
        await client.get_system_shared_memory_status("none")


async def test_a_stream_goes_on_after_an_error(client: InferenceServerClient) -> None:
    async def asked() -> AsyncIterator[dict[str, Any]]:
        for model in ("Doubler", "none", "Doubler"):
            yield {"model_name": model, "inputs": [rows(1)], "request_id": model}

    found = [(result and result.as_numpy("y").tolist(), error) async for result, error in client.stream_infer(asked())]
    assert [answer for answer, _ in found] == [[[0, 2, 4, 6]], None, [[0, 2, 4, 6]]]
    assert "unknown model" in str(found[1][1])


async def test_a_stream_that_rests_ends_with_the_gateway(zoo: GrpcZoo) -> None:
    async with grpc.aio.insecure_channel(zoo.address) as channel:
        call: Any = channel.stream_stream(
            f"/{SERVICE}/ModelStreamInfer",
            request_serializer=service_pb2.ModelInferRequest.SerializeToString,
            response_deserializer=service_pb2.ModelStreamInferResponse.FromString,
        )()
        await call.write(service_pb2.ModelInferRequest(model_name="none"))
        assert "unknown model" in (await call.read()).error_message
        zoo.service.end_streams()
        assert await call.code() == grpc.StatusCode.UNAVAILABLE


async def test_garbage_is_refused(zoo: GrpcZoo) -> None:
    async with grpc.aio.insecure_channel(zoo.address) as opened:
        channel: Any = opened
        for garbage in (b"\xff" * 100, b"\x0a\xff\xff\xff\xff\x0f"):
            for name in ("ModelInfer", "ModelMetadata"):
                with pytest.raises(grpc.aio.AioRpcError, match=f"not a {name}Request") as refused:
                    await channel.unary_unary(f"/{SERVICE}/{name}")(garbage)
                assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_unary(f"/{SERVICE}/Nothing")(b"")
        assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_a_client_that_goes_away_frees_its_place(zoo: GrpcZoo) -> None:
    running, released = asyncio.Event(), asyncio.Event()

    async def slow(x: Any) -> Any:
        running.set()
        try:
            await asyncio.Event().wait()
        finally:
            released.set()

    zoo.assembly.gateway.edition.functions["Animals.echo"] = slow
    async with InferenceServerClient(zoo.address) as client:
        asking = asyncio.create_task(client.infer("Animals.echo", [rows()]))
        await running.wait()
        assert zoo.assembly.in_flight == 1
        asking.cancel()
        await released.wait()
    await zoo.assembly.gateway.edition.deserted()


async def test_a_gateway_that_is_full_says_so(
    zoo: GrpcZoo, client: InferenceServerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoo.assembly.gateway._admission, "enter", lambda lane, size: False)
    with pytest.raises(InferenceServerException) as refused:
        await client.infer("Doubler", [rows()])
    assert refused.value.status() == "StatusCode.RESOURCE_EXHAUSTED"


async def test_ids_come_with_the_metadata(
    zoo: GrpcZoo, client: InferenceServerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    done = zoo.assembly.gateway._done

    def look(request: Any, *rest: Any) -> None:
        seen.append(request.id)
        done(request, *rest)

    monkeypatch.setattr(zoo.assembly.gateway, "_done", look)
    await client.infer("Doubler", [rows()], headers={"x-request-id": "mine-1"})
    assert seen == ["mine-1"]

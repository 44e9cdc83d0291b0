"""Within which limits gRPC is listened for."""

from __future__ import annotations

from pathlib import Path

import grpc
import numpy as np
import pytest
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from kapelle.gateway.protocols import grpc_server
from tests.unit.gateway.protocols.conftest import GrpcZoo, grpc_zoo


async def test_messages_beyond_the_limit_are_refused_unread(tmp_path: Path) -> None:
    async with grpc_zoo(tmp_path, max_body=200_000) as zoo, InferenceServerClient(zoo.address) as client:
        for count, fits in ((100_000, True), (1 << 20, False)):
            asked = InferInput("x", [count], "UINT8")
            asked.set_data_from_numpy(np.zeros(count, np.uint8))
            if fits:
                assert (await client.infer("Animals.echo", [asked])).as_numpy("output").size == count
                continue
            with pytest.raises(InferenceServerException) as refused:
                await client.infer("Animals.echo", [asked])
            assert refused.value.status() == "StatusCode.RESOURCE_EXHAUSTED"


async def test_an_address_that_cannot_be_had_is_an_error(zoo: GrpcZoo) -> None:
    with pytest.raises(RuntimeError):
        await grpc_server.serve(zoo.service, "203.0.113.1:1", 1000, None)


async def test_tls_is_spoken_where_there_is_a_certificate(zoo: GrpcZoo, tmp_path: Path) -> None:
    with pytest.raises((RuntimeError, ValueError, grpc.RpcError)):
        await grpc_server.serve(zoo.service, f"unix:{tmp_path}/tls", 1000, (b"no key", b"no certificate"))

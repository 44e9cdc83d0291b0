"""The zoo behind gRPC, at a Unix socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

from kapelle.config.settings import Settings
from kapelle.declare.apps import app_spec
from kapelle.gateway.assembly import Assembly
from kapelle.gateway.fleet import Fleet
from kapelle.gateway.protocols import grpc_server
from kapelle.gateway.protocols.grpc_service import InferenceService
from kapelle.gateway.protocols.regions import Regions
from kapelle.observe.metrics import Family, Registry
from tests.unit.gateway.protocols.zoo import Zoo


class Nothing:
    """A source of no artifacts."""

    def path(self, artifact: str) -> Path:
        raise AssertionError(artifact)

    def shard(self, artifact: str, shard: int) -> Path:
        raise AssertionError(artifact)

    def shard_count(self, artifact: str) -> int:
        raise AssertionError(artifact)


def nobody(address: str) -> Awaitable[NoReturn]:
    raise AssertionError(f"{address} was dialled")


async def no_metrics() -> list[Family]:
    return []


class GrpcZoo:
    """A gateway of the zoo, its inference service, and the address at which that is served."""

    def __init__(self, assembly: Assembly, service: InferenceService, address: str) -> None:
        self.assembly = assembly
        self.service = service
        self.address = address


@asynccontextmanager
async def grpc_zoo(folder: Path, **settings: Any) -> AsyncIterator[GrpcZoo]:
    spec = app_spec(Zoo)
    assert spec is not None
    registry = Registry()
    regions = Regions(folder / "regions")
    chosen = Settings(access_log=False, **settings)
    fleet = Fleet(spec, "gateway", nobody, registry)
    assembly = Assembly(spec, fleet, chosen, registry, no_metrics, regions, grpc=True)
    await assembly.start("r1", Nothing())
    assert assembly.offers is not None
    offers = assembly.offers
    service = InferenceService(assembly.gateway, offers.catalogue, regions, offers.grpc_endpoints)
    address = f"unix:{folder}/grpc"
    server = await grpc_server.serve(service, address, chosen.max_body, None)
    try:
        yield GrpcZoo(assembly, service, address)
    finally:
        service.end_streams()
        await server.stop(5)
        await assembly.close()


@pytest.fixture
async def zoo(tmp_path: Path) -> AsyncIterator[GrpcZoo]:
    async with grpc_zoo(tmp_path) as found:
        yield found

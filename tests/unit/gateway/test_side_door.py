"""Where clients of gRPC come in."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from kapelle.config.settings import Settings
from kapelle.gateway import side_door
from kapelle.gateway.side_door import SideDoor, grpc_port
from kapelle.transport import sockets
from kapelle.transport.forwarding import Forwarding
from kapelle.transport.shared_door import GRPC
from kapelle.transport.sockets import Address
from tests.certificates import make_certificate
from tests.unit.gateway.protocols.conftest import GrpcZoo, grpc_zoo


@pytest.fixture
async def zoo(tmp_path: Path) -> AsyncIterator[GrpcZoo]:
    async with grpc_zoo(tmp_path) as found:
        yield found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def door_at(zoo: GrpcZoo, port: int, own_door: Path = Path("gateway-0.door"), **settings: Any) -> SideDoor:
    assert zoo.assembly.offers is not None
    return SideDoor(zoo.assembly.gateway, zoo.assembly.offers, Settings(**settings), port, own_door)


def test_the_port_is_the_next_one_or_the_one_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert grpc_port(Settings(), 8080) == 8081
    assert grpc_port(Settings(grpc_port=9000), 8080) == 9000
    assert grpc_port(Settings(grpc_port=-1), 8080) == 0
    assert grpc_port(Settings(expose_services=False), 8080) == 0
    monkeypatch.setattr(side_door, "grpc_is_installed", lambda: False)
    assert grpc_port(Settings(), 8080) == 0


async def test_it_opens_and_shuts_any_number_of_times(zoo: GrpcZoo) -> None:
    port = free_port()
    door = door_at(zoo, port)
    for _ in range(2):
        await door.open()
        async with InferenceServerClient(f"127.0.0.1:{port}") as client:
            assert await client.is_server_live()
        await door.close()
        async with InferenceServerClient(f"127.0.0.1:{port}") as client:
            with pytest.raises(InferenceServerException):
                await client.is_server_live()


async def test_the_last_port_has_no_next_one(zoo: GrpcZoo) -> None:
    """gRPC would take any port instead, and nobody would know which."""
    door = door_at(zoo, 65536)
    with capture_logs() as logs:
        await door.open()
    assert [one["reason"] for one in logs if "choose another port (grpc_port)" in one["event"]] == [
        "there is no port 65536"
    ]
    await door.close()


async def test_several_gateways_share_a_port(zoo: GrpcZoo) -> None:
    port = free_port()
    first, second = door_at(zoo, port), door_at(zoo, port)
    await first.open()
    await second.open()
    await first.close()
    async with InferenceServerClient(f"127.0.0.1:{port}") as client:
        assert await client.is_server_live()
    await second.close()


async def test_where_another_process_has_the_port_clients_come_through_that(zoo: GrpcZoo, tmp_path: Path) -> None:
    bound = sockets.bind(Address("tcp", "127.0.0.1"))
    forwarding = Forwarding(bound, tmp_path, GRPC)
    await forwarding.open()
    doors = [door_at(zoo, 0, tmp_path / f"gateway-{number}.door", door=str(tmp_path)) for number in range(2)]
    for door in doors:
        await door.open()
    async with InferenceServerClient(f"127.0.0.1:{bound.getsockname()[1]}") as client:
        assert await client.is_server_live()
        await doors[0].close()
        assert await client.is_server_live()
    await doors[1].close()
    await forwarding.close()


async def test_a_port_that_is_taken_leaves_http_alone(zoo: GrpcZoo) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        door = door_at(zoo, other.getsockname()[1])
        with capture_logs() as logged:
            await door.open()
        assert [entry["event"] for entry in logged] == ["gRPC is not served: choose another port (grpc_port)"]
        await door.close()


async def test_it_speaks_tls_where_the_gateway_does(zoo: GrpcZoo, tmp_path: Path) -> None:
    certificate, port = make_certificate(tmp_path), free_port()
    door = door_at(zoo, port, **certificate.settings)
    await door.open()
    context = certificate.client()
    context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
    writer.close()
    await door.close()

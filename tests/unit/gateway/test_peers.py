"""What a connection knows of its client."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

from kapelle.gateway.peers import is_under_way, origin_of
from tests.unit.gateway.sockets import Wire


def test_nothing_is_known_of_a_connection_that_is_gone() -> None:
    nothing = {"scheme": "http", "client": None, "server": None, "root_path": ""}
    assert origin_of(None) == nothing
    assert origin_of(Wire()) == nothing
    assert not is_under_way(None)


async def test_both_ends_are_known() -> None:
    origin: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    async def meet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        origin.set_result(origin_of(cast(asyncio.Transport, writer.transport)))
        writer.close()

    async with await asyncio.start_server(meet, "127.0.0.1", 0) as server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        found = await origin
        assert found["client"] == writer.get_extra_info("sockname")
        assert found["server"] == writer.get_extra_info("peername")
        writer.close()
        await writer.wait_closed()


def test_bytes_are_under_way_until_the_client_has_them() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as ours:
        assert not is_under_way(Wire(tls=True, client=ours))
        assert not is_under_way(Wire(client=ours))

"""A gateway dies under load, and no call of a client notices."""

from __future__ import annotations

import asyncio

from kapelle.testing import running_processes
from tests.integration.client.either import KINDS, Either
from tests.integration.client.gallery import Gallery


async def keep_calling(client: Either, enough: asyncio.Event) -> int:
    """How many calls were answered until it was enough."""
    answered = 0
    while not enough.is_set():
        assert await client.ask("call", "Scaler.reverse", b"abc") == b"cba"
        answered += 1
    return answered


async def test_a_gateway_that_dies_takes_no_call_with_it() -> None:
    async with running_processes(Gallery, gateways=2) as system:
        clients = [kind(system.url) for kind in KINDS]
        enough = asyncio.Event()
        calling = [asyncio.ensure_future(keep_calling(client, enough)) for client in clients for _ in range(4)]
        for gateway in ("gateway-0", "gateway-1"):
            await system.restarted(gateway, system.kill(gateway))
        enough.set()
        assert all(await asyncio.gather(*calling))
        for client in clients:
            await client.close()

"""Who knocks is heard, by the address that it calls from."""

from __future__ import annotations

import asyncio

from kapelle.transport.knock import hear_knocks, knock
from kapelle.transport.sockets import Address, bind


async def test_whoever_knocks_is_heard() -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    bound = bind(Address("tcp", "127.0.0.1", 0))
    server = await hear_knocks(bound, heard.put_nowait)
    for _ in range(2):
        await knock("127.0.0.1", server.sockets[0].getsockname()[1])
        assert await heard.get() == "127.0.0.1"
    server.close()


async def test_nobody_is_no_error() -> None:
    bound = bind(Address("tcp", "127.0.0.1", 0))
    port = bound.getsockname()[1]
    bound.close()
    await knock("127.0.0.1", port)
    await knock("not-a-name.invalid", port)

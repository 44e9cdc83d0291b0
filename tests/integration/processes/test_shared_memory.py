"""Large arrays between real processes: right whatever is killed, and nothing of the dead stays in use."""

from __future__ import annotations

import asyncio
import re

import pytest

from kapelle.testing import ProcessSystem, running_processes
from tests.integration.processes.gallery import Gallery
from tests.integration.processes.load import Load


async def sample(system: ProcessSystem, name: str) -> float:
    """The sum of a metric over all processes."""
    text = (await system.client.get("/metrics")).text
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))


@pytest.mark.parametrize("room", [256 << 20, 1 << 20, 0])
async def test_nobody_sees_whether_there_is_room(room: int) -> None:
    async with running_processes(Gallery, shared_memory=room) as system:
        async with Load(system.url, rate=60) as load:
            await load.more(100)
        load.check()
        assert (await sample(system, "kapelle_shared_memory_bytes") > 0) == (room > 0), "critics keep pictures"
        fell_back = await sample(system, "kapelle_shared_memory_fallbacks_total")
        assert (fell_back > 0) == (room == 1 << 20)


async def test_whoever_is_killed_harms_no_picture_and_keeps_no_memory() -> None:
    async with running_processes(Gallery, gateways=2) as system:
        async with Load(system.url, rate=60, forgiving=True) as load:
            for name in ("Painter-0", "Critic-1", "gateway-0", "Painter-1", "Critic-0", "gateway-1", "Painter-0"):
                await load.more(20)
                pid = system.kill(name)
                await system.restarted(name, pid)
            await load.more(50)
        load.check()
        for name in ("Critic-0", "Critic-1"):
            pid = system.kill(name)
            await system.restarted(name, pid)
        # What the dead critics kept is struck out when the arenas are tended next.
        async with asyncio.timeout(30):
            while await sample(system, "kapelle_shared_memory_bytes"):
                pass

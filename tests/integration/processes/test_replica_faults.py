"""Whatever happens to one replica, the other answers: under load no request is lost or wrong."""

from __future__ import annotations

import signal

import pytest

from kapelle.testing import running_processes
from tests.integration.processes.load import Load
from tests.integration.processes.orchestra import Orchestra


@pytest.mark.parametrize("transport", ["unix", "tcp"])
async def test_replicas_are_killed_one_after_the_other(transport: str) -> None:
    async with running_processes(Orchestra, transport=transport) as system, Load(system.url) as load:
        for name in ("Doubler-0", "Doubler-1", "Doubler-0"):
            pid = system.kill(name)
            await system.restarted(name, pid)
            await load.more(20)
        load.check()
        assert system.process("Doubler-0").life.restarts == 2


async def test_a_stopped_replica_is_left_alone_and_comes_back() -> None:
    async with running_processes(Orchestra) as system:
        async with Load(system.url) as load:
            pid = system.signal("Doubler-0", signal.SIGSTOP)
            await load.until(lambda: load.slowest > 1.0)
            await load.more(50)
            system.signal("Doubler-0", signal.SIGCONT)
            await load.more(100)
        load.check()
        assert system.process("Doubler-0").pid == pid, "it was silent for less than the limit"
        system.kill("Doubler-1")
        assert (await system.client.post("/double", json={"x": 4})).text == "8", "the one that came back serves"


async def test_a_replica_that_stays_stopped_is_replaced() -> None:
    async with running_processes(Orchestra, hang_timeout=2) as system, Load(system.url) as load:
        pid = system.signal("Doubler-1", signal.SIGSTOP)
        await system.restarted("Doubler-1", pid)
        await load.more(20)
        load.check()
        assert system.process("Doubler-1").life.reason == "silent for 2 s (killed by SIGKILL)"


async def test_a_replica_that_somebody_asks_to_end_drains_and_is_started_again() -> None:
    async with running_processes(Orchestra) as system, Load(system.url) as load:
        for number in (signal.SIGTERM, signal.SIGINT):
            pid = system.signal("Doubler-0", number)
            await system.restarted("Doubler-0", pid)
            await load.more(20)
        load.check()
        life = system.process("Doubler-0").life
        assert (life.crashes, life.restarts) == (0, 2), "an orderly end is no crash"

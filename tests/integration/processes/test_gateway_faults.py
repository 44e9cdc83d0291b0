"""Whatever happens to one gateway of several, the others answer: clients see no more than a broken connection."""

from __future__ import annotations

import signal

from kapelle.gateway.link import SILENT_AFTER
from kapelle.testing import running_processes
from tests.integration.processes.load import Load
from tests.integration.processes.orchestra import Orchestra


async def test_a_gateway_is_killed() -> None:
    async with running_processes(Orchestra, gateways=2) as system, Load(system.url, forgiving=True) as load:
        for name in ("gateway-0", "gateway-1"):
            pid = system.kill(name)
            await system.restarted(name, pid)
            await load.more(30)
        load.check()
        assert load.refused == 0, "the door stays open"
        assert load.repeated <= 40, "only the requests that were on their way, and idle connections"


async def test_a_gateway_that_somebody_asks_to_end_answers_all_it_took() -> None:
    async with running_processes(Orchestra, gateways=2) as system, Load(system.url, forgiving=True) as load:
        pid = system.signal("gateway-0", signal.SIGTERM)
        await system.restarted("gateway-0", pid)
        await load.more(30)
        load.check()
        assert load.refused == 0
        assert system.process("gateway-0").life.crashes == 0


async def test_the_only_gateway_is_killed_and_those_at_the_door_wait_for_the_next() -> None:
    async with running_processes(Orchestra) as system, Load(system.url, rate=40, forgiving=True) as load:
        pid = system.kill("gateway-0")
        await system.restarted("gateway-0", pid)
        await load.more(40)
        load.check()
        assert load.refused == 0


async def test_a_gateway_that_stood_still_blames_nobody() -> None:
    async with running_processes(Orchestra) as system, Load(system.url, rate=20) as load:
        pid = system.signal("gateway-0", signal.SIGSTOP)
        # Longer than the time after which a silent replica is given up.
        await load.sent_more(int(20 * 1.5 * SILENT_AFTER))
        system.signal("gateway-0", signal.SIGCONT)
        await load.until(lambda: load.slowest > SILENT_AFTER)
        await load.more(40)
        load.check()
        assert system.process("gateway-0").pid == pid

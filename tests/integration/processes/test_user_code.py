"""User code may do anything; one call of it fails, or one replica of it, and all others are answered."""

from __future__ import annotations

import asyncio

import pytest

from kapelle.testing import ProcessSystem, running_processes
from tests.integration.processes.load import Load
from tests.integration.processes.orchestra import MEMORY_LIMIT, Feast, Orchestra


async def fault(system: ProcessSystem, name: str, how: str = "") -> tuple[int, str]:
    answer = await system.client.post("/fault", json={"name": name, "how": how})
    return answer.status_code, answer.json()["type"].rpartition(":")[2] if answer.is_error else answer.text


def numbers(system: ProcessSystem) -> dict[str, int]:
    return {name: system.process(name).pid for name in ("Doubler-0", "Doubler-1")}


async def one_replaced(system: ProcessSystem, before: dict[str, int]) -> str:
    """Return when one of the two has been replaced; why it was."""
    await system.until(lambda: any(system.process(name).life.restarts for name in before))
    (name,) = (name for name in before if system.process(name).life.restarts)
    await system.restarted(name, before[name])
    return system.process(name).life.reason


async def test_a_call_that_fails_is_its_own_affair() -> None:
    async with running_processes(Orchestra) as system, Load(system.url) as load:
        before = numbers(system)
        assert await fault(system, "raising") == (500, "user-code")
        assert await fault(system, "losing_rows") == (500, "contract")
        assert await fault(system, "hanging_async") == (504, "deadline-exceeded")
        assert await fault(system, "hanging_batch") == (504, "deadline-exceeded")
        assert await fault(system, "talking") == (200, "5000")
        await load.more(20)
        load.check()
        assert numbers(system) == before, "no replica had to be replaced"


@pytest.mark.parametrize("name", ["hanging", "stubborn_batch"])
async def test_a_call_that_cannot_be_stopped_costs_its_replica(name: str) -> None:
    async with running_processes(Orchestra) as system, Load(system.url) as load:
        before = numbers(system)
        assert await fault(system, name) == (504, "deadline-exceeded")
        reason = await one_replaced(system, before)
        assert reason.startswith("a call still runs")
        await load.more(20)
        load.check()


@pytest.mark.parametrize("name", ["holding_the_loop", "holding_the_gil"])
async def test_a_replica_that_cannot_even_say_that_it_hangs_is_found_out(name: str) -> None:
    async with running_processes(Orchestra, hang_timeout=1.5) as system, Load(system.url) as load:
        before = numbers(system)
        assert await fault(system, name) == (504, "deadline-exceeded")
        assert await one_replaced(system, before) == "silent for 1.5 s (killed by SIGKILL)"
        await load.more(20)
        load.check()


@pytest.mark.parametrize(
    ("name", "how", "reason"),
    [
        ("leaving", "os._exit", "exited with status 4"),
        ("leaving", "sys.exit", "exited with status 3"),
        ("leaving_async", "", "exited with status 6"),
    ],
)
async def test_a_call_that_ends_the_process_is_not_tried_elsewhere(name: str, how: str, reason: str) -> None:
    async with running_processes(Orchestra) as system, Load(system.url) as load:
        before = numbers(system)
        assert await fault(system, name, how) == (502, "replica-lost")
        assert await one_replaced(system, before) == reason
        await load.more(20)
        load.check()
        assert sum(system.process(name).life.restarts for name in before) == 1


async def test_a_replica_that_grows_too_large_hands_over_first() -> None:
    async with running_processes(Feast) as system, Load(system.url) as load:
        pid = (await system.client.post("/eat", json={"size": MEMORY_LIMIT})).json()
        (name,) = (name for name in ("Glutton-0", "Glutton-1") if system.process(name).pid == pid)
        await system.until(lambda: name not in system.processes)
        await load.more(20)
        load.check()
        successor = system.process(f"{name}~2")
        assert successor.life.usable
        assert (successor.life.restarts, successor.life.crashes) == (1, 0)
        assert f"limit {MEMORY_LIMIT >> 20} MiB" in successor.life.reason
        assert (await system.client.get("/metrics")).text.count('kapelle_replica_in_flight{replica="Glutton-') == 2


async def test_a_replica_that_grows_beyond_all_bounds_is_ended() -> None:
    async with running_processes(Feast) as system, Load(system.url) as load:
        # It goes on growing whether it is asked to leave or not; where it is seen first decides how it ends.
        eating = asyncio.create_task(system.client.post("/feast", json={}))
        await system.until(
            lambda: any("memory" in process.life.reason for process in system.controller.processes.values())
        )
        assert (await eating).status_code == 502
        await system.until(lambda: all(process.life.usable for process in system.controller.processes.values()))
        await load.more(20)
        load.check()

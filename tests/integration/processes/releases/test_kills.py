"""Whatever is killed at whatever moment of a publish: every answer is of one release, whole, and it can be repeated."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kapelle.artifacts.pointer import PointerLog
from kapelle.artifacts.stores import open_objects
from kapelle.testing import ProcessSystem, running_processes
from tests.integration.processes.load import Load
from tests.integration.processes.releases.library import Library
from tests.integration.processes.releases.shelf import LIBRARY, Shelf, Witness
from tests.integration.processes.serving import Serving, begin, kapelle, serving, sweep

_MOST = 60
"""More steps than any publish has; the test sees when the end is reached."""
_DOOMED = str(Path(__file__).with_name("doomed.py"))


async def ready(system: Serving) -> Serving:
    await system.said("stop  Ctrl-C")
    return system


@pytest.mark.timeout(180)
async def test_the_controller_is_killed_at_every_step_of_a_publish(shelf: Shelf, tmp_path: Path) -> None:
    names = {shelf.add("one", 2): ("one", 2), shelf.add("two", 3): ("two", 3)}
    pointer = PointerLog(open_objects(shelf.store))
    witness = Witness()
    usual = {"target": LIBRARY, "bake": "0s", "gateways": "2", "store": shelf.store, "log_level": "warning"}
    async with (
        serving(tmp_path, "--release", "r1", **usual) as first,
        Load(first.url, path="/read", is_right=witness, rate=40) as load,
    ):
        await first.killed()
        steps = 0
        while True:
            assert steps < _MOST
            wanted = next(name for name in names if name != pointer.read().release)
            controller = await ready(await begin(tmp_path, command=(sys.executable, _DOOMED, str(steps)), **usual))
            code, said, complaint = await kapelle(tmp_path, "release", "publish", wanted, "--run-dir", "run")
            killed = controller.process.returncode is not None or await died(controller)
            assert code == killed, (said, complaint)
            assert (f"`kapelle release publish {wanted}`" in complaint) == killed, "it says how to go on"
            assert (f"{wanted} committed" in said) == (not killed), said
            load.check()
            assert pointer.read().release in names
            if not killed:
                break
            steps += 1
        assert steps > 15, "a publish has more steps"
        witness.seen.clear()
        await load.until(lambda: witness.seen[names[wanted]] > 20)
        assert witness.seen.keys() == {names[wanted]}
        load.check()
        await sweep(tmp_path, controller)


async def died(controller: Serving) -> bool:
    """Whether it was killed, which it may be in the moment in which its client hears of the end."""
    if not controller.matches("killed before"):
        return False
    await controller.ended()
    return True


@pytest.mark.parametrize("victim", ["Reader-0", "Page-0", "gateway-0"])
@pytest.mark.parametrize("moment", ["waiting for", "asking the golden", "committed"])
async def test_a_process_is_killed_in_the_middle_of_a_publish(shelf: Shelf, victim: str, moment: str) -> None:
    one, two = shelf.add("one", 2), shelf.add("two", 3)
    witness = Witness()
    async with (
        running_processes(Library, store=shelf.store, release=one, gateways=2, bake=0.3) as system,
        Load(system.url, path="/read", is_right=witness, forgiving=True) as load,
    ):
        await load.more(20)
        pid = await publish_and_kill(system, two, victim, moment)
        await system.restarted(victim, pid)
        if system.conductor.current != two:
            over = await system.conductor.publish(two, lambda _: None)
            assert over.outcome == "committed", over.reason
        witness.seen.clear()
        await load.more(60)
        assert witness.seen.keys() == {("two", 3)}
        load.check()
        assert load.refused == 0


async def publish_and_kill(system: ProcessSystem, release: str, victim: str, moment: str) -> int:
    """Kill a process when the publish says that it has come so far; the number that the process had."""
    killed: list[int] = []

    def say(text: str) -> None:
        if moment in text and not killed:
            killed.append(system.kill(victim))

    await system.conductor.publish(release, say)
    return killed[0]

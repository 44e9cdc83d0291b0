"""Whatever is killed at whatever moment of a publish: every answer is of one release, whole, and it can be repeated."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kapelle.artifacts.pointer import PointerLog
from kapelle.artifacts.stores import open_objects
from kapelle.testing import ProcessSystem, running_processes
from tests.integration.processes.load import Load
from tests.integration.processes.releases.library import Library
from tests.integration.processes.releases.shelf import LIBRARY, Shelf, Witness
from tests.integration.processes.releases.studio import Studio, VersionWitness
from tests.integration.processes.serving import Serving, begin, kapelle, serving, sweep

_MOST = 60
"""More steps than any publish has; the test sees when the end is reached."""
_DOOMED = str(Path(__file__).with_name("doomed.py"))


@pytest.mark.timeout(180)
async def test_the_controller_is_killed_at_every_step_of_a_publish(shelf: Shelf, tmp_path: Path) -> None:
    names = {shelf.add("one", 2): ("one", 2), shelf.add("two", 3): ("two", 3)}
    await killed_at_every_step(tmp_path, LIBRARY, shelf.store, names, Witness())


@pytest.mark.timeout(180)
async def test_the_controller_is_killed_at_every_step_of_a_change_of_code(tmp_path: Path) -> None:
    studio = Studio(tmp_path / "studio")
    names = {await studio.release("v1", "one"): "v1one", await studio.release("v2", "two"): "v2two"}
    await killed_at_every_step(tmp_path, studio.target, studio.store, names, VersionWitness(), stride=3)


async def killed_at_every_step(
    folder: Path, target: str, store: str, names: dict[str, Any], witness: Witness | VersionWitness, stride: int = 1
) -> None:
    """Publish now one release and now the other, with a controller that is killed ``stride`` steps later each time.

    ``names`` says what ``witness`` sees of each release.
    """
    pointer = PointerLog(open_objects(store))
    usual = {"target": target, "bake": "0s", "gateways": "2", "store": store, "log_level": "warning"}
    async with (
        serving(folder, "--release", "r1", **usual) as first,
        Load(first.url, path="/read", is_right=witness, rate=40) as load,
    ):
        await first.killed()
        steps, killed = 0, True
        while killed:
            assert steps < _MOST
            wanted = next(name for name in names if name != pointer.read().release)
            async with doomed(folder, steps, **usual) as controller:
                code, said, complaint = await kapelle(folder, "release", "publish", wanted, "--run-dir", "run")
                killed = controller.process.returncode is not None or await died(controller)
                assert code == killed, (said, complaint)
                assert (f"`kapelle release publish {wanted}`" in complaint) == killed, "it says how to go on"
                assert (f"{wanted} committed" in said) == (not killed), said
                load.check()
                assert pointer.read().release in names
                if not killed:
                    witness.seen.clear()
                    await load.until(partial(seen_often, witness, names[wanted]))
                    assert witness.seen.keys() == {names[wanted]}
                    load.check()
            steps += stride
        assert steps > 15, "a publish has more steps"


def seen_often(witness: Witness | VersionWitness, what: Any) -> bool:
    return witness.seen[what] > 20


@asynccontextmanager
async def doomed(folder: Path, steps: int, **usual: str) -> AsyncIterator[Serving]:
    """A controller that is killed after so many steps of the first publish; one that is not ends with the test."""
    controller = await begin(folder, command=(sys.executable, _DOOMED, str(steps)), **usual)
    try:
        await controller.said("stop  Ctrl-C")
        yield controller
    finally:
        if controller.process.returncode is None:
            await sweep(folder, controller)


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

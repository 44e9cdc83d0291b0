"""Where a replica has no memory for two releases, one half changes after the other, and nobody waits for it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from kapelle.testing import ProcessSystem, running_processes
from tests.integration.processes.releases.cramped import CrampedLibrary
from tests.integration.processes.releases.shelf import Shelf, Witness, load_of, publish

SETTINGS: dict[str, Any] = {"bake": 0.3, "gateways": 2, "shard_processes": 2}


async def test_releases_follow_each_other_where_there_is_room_for_one(shelf: Shelf) -> None:
    witness = Witness()
    async with (
        running_processes(CrampedLibrary, artifacts=shelf.write("local", 3), store=shelf.store, **SETTINGS) as system,
        load_of(system, witness) as load,
    ):
        for edition, pages in {"one": 3, "two": 5, "three": 1}.items():
            release = shelf.add(edition, pages)
            over = await publish(system, release)
            assert over.outcome == "committed", over
            await load.more(30)
            witness.seen.clear()
            await load.more(30)
            assert witness.seen.keys() == {(edition, pages)}
            await system.until(partial(only, system, release))
        load.check()
        assert {process.life.restarts for process in system.controller.processes.values()} == {0}


def only(system: ProcessSystem, release: str) -> bool:
    """Whether no replica holds anything but this release: the half that changes later has changed too."""
    replicas = [one for one in system.controller.processes.values() if one.recipe.role == "replica"]
    return all(system.conductor.releases(one) in ({release: "ready"}, {}) for one in replicas)


async def test_going_back_finds_the_old_release_in_one_half(shelf: Shelf) -> None:
    one, two = shelf.add("one", 2), shelf.add("two", 3)
    witness = Witness()
    async with (
        running_processes(CrampedLibrary, store=shelf.store, release=one, **SETTINGS | {"bake": 60}) as system,
        load_of(system, witness) as load,
    ):
        publishing = asyncio.create_task(publish(system, two))
        await system.until(lambda: system.conductor.current == two)
        await load.until(lambda: witness.seen["two", 3] > 20)
        over = await system.conductor.rollback(lambda _: None)
        assert (over.release, over.outcome) == (two, "rolled back")
        assert await publishing == over
        witness.seen.clear()
        await load.until(lambda: witness.seen["one", 2] > 20)
        load.check()

"""Releases change under load, and every request sees exactly one of them."""

from __future__ import annotations

import asyncio
from typing import Any

from kapelle.testing import running_processes
from tests.integration.processes.releases.library import Library
from tests.integration.processes.releases.shelf import Shelf, Witness, load_of, publish

SETTINGS: dict[str, Any] = {"bake": 0.3, "gateways": 2}


async def test_releases_follow_each_other_under_load_with_any_number_of_shards(shelf: Shelf) -> None:
    witness = Witness()
    async with (
        running_processes(Library, artifacts=shelf.write("local", 3), store=shelf.store, **SETTINGS) as system,
        load_of(system, witness) as load,
    ):
        for edition, pages in {"one": 3, "two": 5, "three": 1, "four": 4}.items():
            over = await publish(system, shelf.add(edition, pages))
            assert over.outcome == "committed", over
            await load.more(30)
            witness.seen.clear()
            await load.more(30)
            assert witness.seen.keys() == {(edition, pages)}
        load.check()
        assert {process.life.restarts for process in system.controller.processes.values()} == {0}


async def test_the_same_release_twice_is_no_work(shelf: Shelf) -> None:
    release = shelf.add("one", 2)
    async with running_processes(Library, store=shelf.store, release=release, **SETTINGS) as system:
        await system.until(lambda: system.conductor.current == release)
        over = await publish(system, release)
        assert over.outcome == "unchanged"


async def test_a_rollback_while_both_are_loaded_is_immediate(shelf: Shelf) -> None:
    one, two = shelf.add("one", 2), shelf.add("two", 3)
    witness = Witness()
    async with (
        running_processes(Library, store=shelf.store, release=one, **SETTINGS | {"bake": 60}) as system,
        load_of(system, witness) as load,
    ):
        said: list[str] = []
        publishing = asyncio.create_task(system.conductor.publish(two, said.append))
        await system.until(lambda: system.conductor.current == two)
        await load.until(lambda: witness.seen["two", 3] > 20)
        over = await system.conductor.rollback(lambda _: None)
        assert (over.release, over.outcome, over.reason) == (two, "rolled back", "asked to go back")
        assert await publishing == over
        witness.seen.clear()
        await load.until(lambda: witness.seen["one", 2] > 20)
        load.check()
        assert system.conductor.current == one
    assert any("committed, watching" in line for line in said)


async def test_a_system_starts_with_what_is_current_and_can_go_back_from_there(shelf: Shelf) -> None:
    one, two = shelf.add("one", 2), shelf.add("two", 3)
    async with running_processes(Library, store=shelf.store, release=one, **SETTINGS) as system:
        assert (await publish(system, two)).outcome == "committed"
    async with running_processes(Library, store=shelf.store, **SETTINGS) as system:
        answer = await system.client.post("/read", json={"x": 1})
        assert answer.headers["x-kapelle-release"] == two
        assert answer.json() == [1, *["two"] * 6]
        assert (await system.conductor.rollback(lambda _: None)).release == one
        assert (await system.client.post("/read", json={"x": 1})).json()[1] == "one"

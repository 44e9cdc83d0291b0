"""A release is tried on a part of the requests before it gets them all."""

from __future__ import annotations

import asyncio
from collections import Counter

from kapelle.core.rollout_messages import Side
from kapelle.testing import ProcessSystem, running_processes
from tests.integration.processes.load import Load
from tests.integration.processes.releases.library import Library
from tests.integration.processes.releases.shelf import Shelf, Witness


async def asked(system: ProcessSystem, count: int, user: str = "") -> Counter[str]:
    """How many of ``count`` requests each release answered."""
    answers = [
        await system.client.post("/read", json={"x": number}, headers={"x-user": user} if user else {})
        for number in range(count)
    ]
    assert all(len({*answer.json()[1:]}) == 1 for answer in answers)
    return Counter(answer.headers["x-kapelle-release"] for answer in answers)


async def test_a_canary_answers_its_share_then_all_and_each_client_stays_with_one(shelf: Shelf) -> None:
    one, two = shelf.add("one", 2), shelf.add("two", 3)
    async with running_processes(Library, store=shelf.store, release=one, bake=4, canary_key="X-User") as system:
        await system.until(lambda: system.conductor.current == one)
        publishing = asyncio.create_task(system.conductor.publish(two, lambda _: None, Side(two, 0.3)))
        gateway = system.process("gateway-0")
        await system.until(lambda: system.conductor.releases(gateway).get(two) == "on 30%")
        assert await asked(system, 50) == {one: 35, two: 15}
        for user in range(10):
            assert len(await asked(system, 3, f"user {user}")) == 1
        assert system.conductor.current == one
        over = await publishing
        assert over.outcome == "committed", over.reason
        assert await asked(system, 10) == {two: 10}


async def test_a_canary_that_does_worse_never_gets_the_rest(shelf: Shelf) -> None:
    one, two = shelf.add("one", 2), shelf.add("worse", 2)
    witness = Witness()
    async with (
        running_processes(Library, store=shelf.store, release=one, bake=60) as system,
        Load(system.url, path="/read", is_right=witness) as load,
    ):
        await load.more(200)
        over = await system.conductor.publish(two, lambda _: None, Side(two, 0.5))
        assert (over.release, over.outcome) == (two, "rolled back")
        assert "quality" in over.reason
        witness.seen.clear()
        await load.until(lambda: witness.seen["one", 2] > 20)
        load.check()
        assert witness.seen.keys() <= {("one", 2), ("worse", 2)}


async def test_a_shadow_is_asked_and_compared_and_never_answers(shelf: Shelf) -> None:
    one, two = shelf.add("one", 2), shelf.add("two", 2)
    async with running_processes(Library, store=shelf.store, release=one, bake=60) as system:
        await system.until(lambda: system.conductor.current == one)
        publishing = asyncio.create_task(system.conductor.publish(two, lambda _: None, Side(two, 0.5, mirrored=True)))
        gateway = system.process("gateway-0")
        await system.until(lambda: system.conductor.releases(gateway).get(two) == "mirroring 50%")
        assert await asked(system, 40) == {one: 40}
        metrics = (await system.client.get("/metrics")).text
        assert 'kapelle_mirrored_total{gateway="gateway-0",outcome="different"} 20' in metrics
        over = await system.conductor.rollback(lambda _: None)
        assert (over.release, over.outcome, over.reason) == (two, "rolled back", "asked to go back")
        assert await publishing == over
        assert await asked(system, 5) == {one: 5}

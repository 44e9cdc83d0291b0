"""A system of containers under load: releases, and everybody who may come and go."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import Any

import pytest

from tests.integration.network.landscape import Landscape

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def status(landscape: Landscape) -> Any:
    return json.loads(await landscape.kapelle("status", "--json"))


async def test_it_comes_up_with_the_newest_release(landscape: Landscape) -> None:
    async with landscape.load as load:
        await load.more(50)
    load.check()
    first = json.loads((landscape.folder / "store" / "current" / "0000000001.json").read_text())
    assert (first["release"], first["author"]) == ("r2", "kapelle start controller")
    found = await status(landscape)
    assert sorted((one["role"], one["service"]) for one in found["processes"]) == [
        ("gateway", ""), ("gateway", ""), ("replica", "Part"), ("replica", "Part"), ("replica", "WordModel"),
        ("replica", "WordModel"),
    ]  # fmt: skip
    assert {(one["phase"], one["release"]) for one in found["processes"]} == {("serving", "r2")}
    assert len({one["code"] for one in found["processes"]}) == 1


async def test_a_release_is_published_and_taken_back_under_load(landscape: Landscape) -> None:
    async with landscape.load as load:
        assert "r1 committed" in await landscape.kapelle("release", "publish", "r1")
        await load.more(100)
        assert "committed" in await landscape.kapelle("release", "rollback")
        await load.more(100)
    load.check()
    assert {one["release"] for one in (await status(landscape))["processes"]} == {"r2"}


async def test_a_gateway_that_ends_drops_nothing(landscape: Landscape) -> None:
    async with landscape.load as load:
        assert await landscape.end(landscape.all("gateway")[0]) == 0
        await load.more(100)
        await (await landscape.gateway()).ready()
        await load.more(100)
    load.check()


@pytest.mark.parametrize("service", ["word-model", "part"])
async def test_a_replica_that_ends_drops_nothing(landscape: Landscape, service: str) -> None:
    async with landscape.load as load:
        assert await landscape.end(landscape.all(service)[0]) == 0
        await load.more(100)
        await (await getattr(landscape, service.removeprefix("word-"))()).ready()
        await load.more(100)
    load.check()


@pytest.mark.parametrize("service", ["word-model", "part"])
async def test_calls_in_the_hands_of_a_replica_that_is_killed_are_made_again(
    landscape: Landscape, service: str
) -> None:
    async with landscape.load as load:
        assert await landscape.end(landscape.all(service)[0], signal.SIGKILL) == -signal.SIGKILL
        await load.more(100)
        await (await getattr(landscape, service.removeprefix("word-"))()).ready()
        await load.more(100)
    load.check()


async def test_without_a_controller_everything_serves_on_and_another_one_takes_over(landscape: Landscape) -> None:
    (controller,) = landscape.all("controller")
    async with landscape.load as load:
        await landscape.end(controller, signal.SIGKILL)
        leaving = landscape.all("gateway")[0]
        await (await landscape.gateway()).ready()
        assert await landscape.end(leaving) == 0
        await load.more(100)
        await (await landscape.controller()).ready()
        while len((await status(landscape))["processes"]) < 6:
            pass
        assert "r1 committed" in await landscape.kapelle("release", "publish", "r1")
        assert "committed" in await landscape.kapelle("release", "rollback")
        await load.more(100)
    load.check()


async def test_gateways_move_to_another_door(landscape: Landscape) -> None:
    (before,) = landscape.all("door")
    assert await landscape.end(before) == 0
    await (await landscape.door()).ready()
    for gateway in landscape.all("gateway"):
        await gateway.serving.said("the door is another one")
    async with landscape.load as load:
        await load.more(100)
    load.check()


async def test_other_code_that_looks_the_same_is_a_fall_back(landscape: Landscape) -> None:
    landscape.app("alike", lambda text: text.replace("Knows the word of its release.", "Knows its word."))
    other = await landscape.model(target="alike")
    await other.ready()
    async with landscape.load as load:
        await load.more(50)
        for one in landscape.all("word-model"):
            if one is not other:
                await landscape.end(one)
        await load.more(50)
        for _ in range(2):
            await (await landscape.model()).ready()
        assert await landscape.end(other) == 0
        await load.more(50)
    load.check()
    assert "side by side" not in await landscape.kapelle("status")


async def test_other_code_that_looks_otherwise_gets_no_calls(landscape: Landscape) -> None:
    landscape.app("otherwise", lambda text: text.replace("async def word(self)", "async def word(self, more: int = 1)"))
    other = await landscape.model(target="otherwise")
    await other.ready()
    async with landscape.load as load:
        for gateway in landscape.all("gateway"):
            await gateway.serving.said("a replica runs other code, whose methods look otherwise")
        await load.more(100)
    load.check()
    assert "side by side" in await landscape.kapelle("status")
    assert "containers run" in await landscape.kapelle("release", "publish", "r1")
    assert await landscape.end(other) == 0


async def test_nobody_talks_to_one_with_another_secret_and_both_say_why(landscape: Landscape) -> None:
    landscape.secret("another", "fedcba9876543210" * 2)
    stranger = await landscape.model(secret="another")
    await stranger.serving.said("secret.*a link was refused")
    assert await stranger.health() == 503  # no engine takes it for one that can replace another
    async with landscape.load as load:
        await load.more(50)
    load.check()
    assert len((await status(landscape))["processes"]) == 6
    assert await landscape.end(stranger) == 0


async def test_all_of_it_ends_in_order(landscape: Landscape) -> None:
    running = [one for one in landscape.containers if one.serving.process.returncode is None]
    assert len(running) == 8
    for one in running:
        one.signal(signal.SIGTERM)
    assert await asyncio.gather(*(one.ended() for one in running)) == [0] * 8
    for one in running:
        await one.serving.silence()  # nobody is left who could write there

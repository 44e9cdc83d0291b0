"""A system on a swarm of three nodes: updated, scaled, published to and robbed of nodes while clients ask at every door.

What is counted is printed, and how long the slowest request took: ``pytest -s`` shows it. How soon the others serve on
when a node dies is a figure, not a check: it depends on what else the machine does.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest

from tests.containers.bookcase.build import NEW, PAGES, SAME
from tests.containers.docker import Docker
from tests.containers.doors import Clients, clients, tell
from tests.containers.engine import PrivateEngine
from tests.containers.events import Event, Events
from tests.containers.stack import Stack
from tests.containers.swarm import Node, Swarm, node_went

pytestmark = pytest.mark.timeout(300)

APP = Path(__file__).with_name("bookcase")
NOTICED_WITHIN = 30.0
IN_FLIGHT = 3
"""Requests that a gateway may have in its hands at the rate of these tests."""
EDITION = 100
"""Bytes at most of the file that names the edition."""


@pytest.fixture(scope="module")
def deployed(
    shared_swarm: Swarm, docker: Docker, private_engine: PrivateEngine | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """The app, deployed; taken away at the end, if no test did."""
    stack = Stack(shared_swarm, docker, tmp_path_factory.mktemp("people"), APP)
    with private_engine.entered() if private_engine else nullcontext():
        stack.supply()
        outcome = stack.up()
        assert outcome.status == 0, outcome.last_lines
        yield stack
    shared_swarm.mend()


@pytest.fixture
def stack(deployed: Stack) -> Iterator[Stack]:
    """The same for all tests; whatever one does to the nodes, they are well again for the next."""
    yield deployed
    for node in deployed.swarm.nodes.values():
        node.mend()


def test_replicas_and_copies_are_on_different_nodes(stack: Stack) -> None:
    found = stack.status()
    tell(", ".join(f"{one.name} on {one.node} {one.shards if one.service == 'Page' else ''}" for one in found))
    assert all(one.phase == "serving" for one in found)
    nodes = {service: [one.node for one in found if one.service == service] for service in ("Reader", "Page", "")}
    assert len(set(nodes["Reader"])) == len(nodes["Reader"]) == 2
    assert sorted(nodes[""]) == ["node1", "node2", "node3"]
    holders: dict[int, list[str]] = {}
    for one in found:
        for shard in one.shards if one.service == "Page" else ():
            holders.setdefault(shard, []).append(one.node)
    assert {number: len(set(where)) for number, where in holders.items()} == dict.fromkeys(range(PAGES), 2)


async def test_a_file_is_fetched_once_per_node(stack: Stack) -> None:
    needed = _parts_per_node(stack)
    before = stack.metric("kapelle_fetched_bytes_total")
    tell(f"bytes fetched per node of r1: {before}, needed there: {needed} parts")
    assert all(_is_once(before[name], parts, NEW + SAME) for name, parts in needed.items())
    async with clients(stack.doors()) as asking:
        await stack.build_release("--edition", "two")
        await stack.publish("r2")
        await asking.until(lambda: asking.all_see("first", "two"))
    after = stack.metric("kapelle_fetched_bytes_total")
    came = {name: after[name] - before[name] for name in after}
    tell(f"bytes fetched per node of r2: {came}")
    asking.count("published")
    # What is the same in both releases comes from the cache.
    assert all(_is_once(came[name], parts, NEW) for name, parts in needed.items())


async def test_new_code_comes_with_no_failed_request(stack: Stack) -> None:
    stack.edit('CODE = "first"', 'CODE = "second"')
    async with clients(stack.doors()) as asking:
        await asyncio.to_thread(stack.supply)
        outcome = await asyncio.to_thread(stack.up)
        assert outcome.status == 0, outcome.last_lines
        await asking.until(lambda: asking.all_see("second", "two"))
    asking.count("code updated")


async def test_broken_code_goes_back(stack: Stack) -> None:
    good = stack.images["gateway"]
    stack.edit('CODE = "second"', 'import os\n\nif "KAPELLE_NODE" in os.environ:\n    raise RuntimeError("out of ink")')
    async with clients(stack.doors()) as asking:
        await asyncio.to_thread(stack.supply)
        outcome = await asyncio.to_thread(stack.up)
        assert outcome.status == 1
        assert "was not kept" in outcome.last_lines
        assert asking.all_see("second", "two")
    asking.count("broken code")
    assert stack.images["gateway"] != good
    assert stack.update_state("reader") == "rollback_completed"
    assert stack.images_that_run() >= {good}
    assert stack.images["gateway"] not in stack.images_that_run()


async def test_a_plain_service_and_a_sharded_one_are_scaled(stack: Stack) -> None:
    async with clients(stack.doors()) as asking:
        for reader, page in ((3, 3), (2, 2)):
            await asyncio.to_thread(stack.scale, reader=reader, page=page)
            await _until_there(stack, asking, {"Reader": reader, "Page": page})
    asking.count("scaled 2 → 3 → 2")


async def test_a_killed_gateway_is_replaced(stack: Stack) -> None:
    node = stack.swarm[2]
    [gateway] = stack.containers(node, "gateway")
    async with clients(stack.doors()) as asking:
        await asyncio.to_thread(node.docker, "kill", "--signal", "KILL", gateway)
        await asking.at[node.name].sent_more(5)
        # Nobody lets these in before the next gateway does: they wait at the door.
        await asking.at[node.name].more(10)
    asking.count("a gateway killed", without=node.name)
    assert not asking.at[node.name].refused
    assert len(asking.at[node.name].failed) <= IN_FLIGHT


async def test_a_node_loses_its_power(stack: Stack) -> None:
    lost = _with_copy(stack)
    async with clients(stack.doors()) as asking:
        with stack.swarm.watched(stack.swarm[1]) as events:
            await asyncio.to_thread(lost.kill)
            await _heard(events, node_went("down", lost))
        asking.at[lost.name].stop()  # a load balancer would have noticed by now
        await _until_there(stack, asking, {"Reader": 2, "Page": 2, "": 2})
    asking.count("a plug pulled", without=lost.name)

    others = [node for node in stack.nodes if node is not lost]
    async with clients(stack.doors(others)) as asking:
        await asyncio.to_thread(lost.start)
        await _until_there(stack, asking, {"": 3})
        async with clients(stack.doors([lost])) as again:
            await again.at[lost.name].more(10)
        again.count("the node that is back")
    asking.count("power again")


async def test_a_node_is_cut_off_and_comes_back(stack: Stack) -> None:
    lost = _with_copy(stack)
    others = [node for node in stack.nodes if node is not lost]
    async with clients(stack.doors(others)) as asking:
        with stack.swarm.watched(stack.swarm[1]) as events:
            await asyncio.to_thread(lost.cut)
            await _heard(events, node_went("down", lost))
            await _until_there(stack, asking, {"Reader": 2, "Page": 2, "": 2})
            await asyncio.to_thread(lost.heal)
            await _heard(events, node_went("ready", lost))
        await _until_there(stack, asking, {"Reader": 2, "Page": 2, "": 3})
        # The node is as good as the others again: it gets the next replica, which is called.
        await asyncio.to_thread(stack.scale, reader=3)
        await _until_there(stack, asking, {"Reader": 3})
        assert lost.name in {one.node for one in stack.status() if one.service == "Reader"}
        async with clients(stack.doors([lost])) as again:
            await again.at[lost.name].more(20)
        again.count("the door that is back")
    asking.count("a cable cut and mended")
    assert (await asyncio.to_thread(stack.metric, "kapelle_calls_total", ["reader"]))[lost.name] > 0


def test_nothing_stays_of_it(stack: Stack) -> None:
    stack.down()
    for node in stack.nodes:
        assert not stack.containers(node)
    manager = stack.swarm[1].docker
    for kind in ("service", "secret", "config", "network"):
        assert stack.name not in manager(kind, "ls", "--format", "{{.Name}}")
    for node in stack.nodes:
        left = node.docker("volume", "ls", "--quiet", "--filter", f"name={stack.name}").split()
        if left:
            node.docker("volume", "rm", *left)


def _parts_per_node(stack: Stack) -> dict[str, int]:
    """How many parts the containers of each node need: the book, and pages. Swarm may leave a node without any."""
    needed: dict[str, set[str]] = {node.name: set() for node in stack.nodes}
    for one in stack.status():
        if one.service == "Reader":
            needed[one.node].add("book")
        elif one.service == "Page":
            needed[one.node].update(f"page {number}" for number in one.shards)
    return {name: len(parts) for name, parts in needed.items()}


def _is_once(fetched: float, parts: int, size: int) -> bool:
    """Whether a node got this much of each of its parts, and none of it twice."""
    return parts * size <= fetched <= parts * (size + EDITION)


def _with_copy(stack: Stack) -> Node:
    """A node with a copy of the shards, other than that from which commands are given."""
    return next(node for node in stack.nodes if node.number > 1 and stack.containers(node, "page"))


async def _heard(events: Events, wanted: Callable[[Event], bool]) -> None:
    await asyncio.to_thread(partial(events.wait, wanted, within=NOTICED_WITHIN))


async def _until_there(stack: Stack, asking: Clients, wanted: dict[str, int]) -> None:
    """Return when so many processes of each service serve, as the controller sees it; gateways are of none."""
    while True:
        found = await asyncio.to_thread(stack.status)
        there = Counter(one.service for one in found)
        if {name: there[name] for name in wanted} == wanted and all(one.phase == "serving" for one in found):
            return
        await asking.more(5)

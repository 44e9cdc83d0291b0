"""The pools follow what the controller says of the members."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

import kapelle
from kapelle.declare.apps import Sharded, app_spec
from kapelle.gateway.fleet import Fleet
from kapelle.observe.metrics import Registry
from kapelle.transport.memory import MemoryNetwork
from kapelle.wire.messages import Member, Members
from tests.unit.gateway.puppets import RELEASE, Puppet


@kapelle.service
class Encoder:
    @kapelle.method
    def embed(self, text: str) -> int:
        raise NotImplementedError


@kapelle.service(sharded_by="index")
class Cluster:
    @kapelle.method
    def find(self, word: str) -> int:
        raise NotImplementedError


@kapelle.service(inline=True)
class Inline:
    @kapelle.method
    def plain(self) -> int:
        raise NotImplementedError


@kapelle.app
class App:
    encoder: Encoder
    cluster: Sharded[Cluster]
    inline: Inline

    @kapelle.post("/")
    async def run(self) -> None: ...


class Conductor:
    """Says who is there, and has puppets be there."""

    def __init__(self) -> None:
        spec = app_spec(App)
        assert spec is not None
        self.network = MemoryNetwork()
        self.fleet = Fleet(spec, "gateway-0", self.network.connect, Registry())
        self.fleet.open(RELEASE, {"Cluster": 2})
        self.fleet.route(RELEASE)
        self.changes = asyncio.Event()
        self.fleet.on_change = self.changes.set
        self.members: dict[str, Member] = {}
        self.version = 0

    def say(self, *members: Member) -> None:
        self.version += 1
        self.fleet.update(Members(self.version, list(members)))

    async def until_ready(self, ready: bool = True) -> None:
        await self.until(lambda: self.fleet.ready is ready)

    async def until(self, happened: Callable[[], bool]) -> None:
        while not happened():
            self.changes.clear()
            await self.changes.wait()


def replica(service: str, number: int, shards: list[int], *, ready: bool = True, address: str = "") -> Member:
    name = f"{service}-{number}"
    return Member(name, "replica", service, shards, address or name, "", ready)


ENCODER = replica("Encoder", 0, [0])
CLUSTERS = [replica("Cluster", 0, [0]), replica("Cluster", 1, [1])]
GATEWAY = Member("gateway-0", "gateway", "", [], "", "", ready=True)


async def test_all_services_and_shards_must_be_there() -> None:
    conductor = Conductor()
    fleet = conductor.fleet
    assert list(fleet.pools) == ["Encoder", "Cluster"], "inline services have no replicas"
    assert not fleet.ready
    assert fleet.waiting_for == ["Encoder", "Cluster"]
    for member in (ENCODER, *CLUSTERS):
        Puppet(conductor.network, member.name, member.shards)
    conductor.say(GATEWAY, ENCODER, CLUSTERS[0])
    assert not fleet.acquainted, "said to be there, and not reached yet"
    await conductor.until(lambda: fleet.acquainted)
    assert fleet.waiting_for == ["Cluster"], "one of its shards is nowhere"
    conductor.say(GATEWAY, ENCODER, *CLUSTERS)
    await conductor.until_ready()
    assert fleet.waiting_for == []
    await fleet.close()


async def test_members_that_are_not_ready_are_not_dialled() -> None:
    conductor = Conductor()
    puppet = Puppet(conductor.network, "Encoder-0", [0])
    conductor.say(replica("Encoder", 0, [0], ready=False))
    await settle()
    assert puppet.connections == []
    assert conductor.fleet.pools["Encoder"].names == []
    assert conductor.fleet.acquainted
    await conductor.fleet.close()


async def test_members_that_are_gone_are_used_no_more() -> None:
    conductor = Conductor()
    puppets = [Puppet(conductor.network, member.name, member.shards) for member in (ENCODER, *CLUSTERS)]
    conductor.say(ENCODER, *CLUSTERS)
    await conductor.until_ready()
    conductor.say(*CLUSTERS)
    assert not conductor.fleet.ready
    assert conductor.fleet.pools["Encoder"].names == []
    await puppets[0].until(lambda: puppets[0].losses)
    conductor.say(ENCODER, *CLUSTERS)
    await conductor.until_ready()
    await conductor.fleet.close()


async def test_a_member_may_move() -> None:
    conductor = Conductor()
    first = Puppet(conductor.network, "Encoder-0", [0])
    for member in CLUSTERS:
        Puppet(conductor.network, member.name, member.shards)
    conductor.say(ENCODER, *CLUSTERS)
    await conductor.until_ready()
    second = Puppet(conductor.network, "elsewhere", [0])
    first.die()
    await conductor.until_ready(False)
    conductor.say(replica("Encoder", 0, [0], address="elsewhere"), *CLUSTERS)
    await conductor.until_ready()
    assert len(second.connections) == 1
    await conductor.fleet.close()


async def test_members_of_services_nobody_uses_are_ignored() -> None:
    conductor = Conductor()
    conductor.say(replica("Stranger", 0, [0]), replica("Inline", 0, [0]), GATEWAY)
    assert conductor.fleet.acquainted
    assert all(pool.names == [] for pool in conductor.fleet.pools.values())
    await conductor.fleet.close()


async def test_silence_is_noticed_in_all_pools() -> None:
    conductor = Conductor()
    puppets = [Puppet(conductor.network, member.name, member.shards) for member in (ENCODER, *CLUSTERS)]
    conductor.say(ENCODER, *CLUSTERS)
    await conductor.until_ready()
    for second in range(5):
        conductor.fleet.check(float(second))
    assert conductor.fleet.waiting_for == ["Encoder", "Cluster"]
    for puppet in puppets:
        await puppet.lost()
    await conductor.fleet.close()


@pytest.mark.parametrize("begun", [False, True])
async def test_closing_leaves_no_task_behind(begun: bool) -> None:
    before = asyncio.all_tasks()
    conductor = Conductor()
    for member in (ENCODER, *CLUSTERS):
        Puppet(conductor.network, member.name, member.shards)
    conductor.say(ENCODER, *CLUSTERS, replica("Encoder", 7, [0]))
    if begun:
        await conductor.until_ready()
    conductor.say(*CLUSTERS)
    await conductor.fleet.close()
    await settle()
    assert asyncio.all_tasks() == before


async def settle() -> None:
    """Let everything run that is due."""
    for _ in range(20):
        await asyncio.sleep(0)

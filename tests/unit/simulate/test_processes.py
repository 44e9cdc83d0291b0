"""Simulated processes do what real ones promise: no more, no less."""

from __future__ import annotations

from random import Random

import pytest

from kapelle.core.rollout_messages import WHOLE, Prepare, Process, Retire, Route, Shape, Shards, Stamp
from kapelle.simulate.processes import Simulated, SimulatedGateway
from kapelle.simulate.releases import Flaw, Release, draw
from kapelle.simulate.world import Violation, World

BOTH: Shards = frozenset({0, 1})


def releases(flaw: Flaw = Flaw.NONE) -> dict[str, Release]:
    shape = Shape("r2", {"encoder": (), "cluster": (5, 5)})
    return {"r1": draw(Random(1), "r1", sound=True), "r2": Release("r2", shape, flaw, 1)}


class Bench:
    """A replica and a gateway in a calm world."""

    def __init__(self, flaw: Flaw = Flaw.NONE) -> None:
        self.world = World(1)
        self.world.stormy = False
        self.told: list[Simulated] = []
        self.died: list[Simulated] = []
        arguments = (releases(flaw), self.told.append, self.died.append)
        self.replica = Simulated(self.world, Process("cluster-0", "replica", "cluster", "x", 1), *arguments)
        self.gateway = SimulatedGateway(self.world, Process("gateway-0", "gateway", "", "x", 1), *arguments)

    def prepare(self, process: Simulated, shards: Shards, number: int = 1) -> None:
        process.obey(Prepare(process.process, "r2", shards, Stamp(1, number)))
        self.world.run(self.world.now + 10)


def test_it_loads_what_it_is_told_and_says_so() -> None:
    bench = Bench()
    bench.prepare(bench.replica, BOTH)
    report = bench.replica.report()
    assert report.holds == {"r2": BOTH}
    assert (report.epoch, report.heard) == (1, {"r2": 1})
    assert len(bench.told) == 2, "once that it has heard, once that it is done"


@pytest.mark.parametrize(("flaw", "reason"), [(Flaw.LOAD, "a shard does not load"), (Flaw.NONE, "no memory left here")])
def test_it_fails(flaw: Flaw, reason: str) -> None:
    bench = Bench(flaw)
    bench.replica.clumsy = flaw is Flaw.NONE
    bench.prepare(bench.replica, BOTH)
    assert bench.replica.report().failed == {"r2": reason}
    bench.replica.obey(Prepare(bench.replica.process, "r1", frozenset(), Stamp(2, 1)))
    assert bench.replica.report().failed == {}, "failures belong to their epoch"


def test_a_shard_that_is_sound_loads_beside_one_that_is_not() -> None:
    bench = Bench(Flaw.LOAD)
    bench.prepare(bench.replica, frozenset({0}))
    assert bench.replica.holds == {"r2": {0}}


def test_a_shard_may_kill_it() -> None:
    bench = Bench(Flaw.DEATH)
    bench.prepare(bench.replica, BOTH)
    assert bench.died == [bench.replica]


def test_it_drops_what_it_is_told_to() -> None:
    bench = Bench()
    bench.prepare(bench.replica, BOTH)
    bench.replica.obey(Retire(bench.replica.process, "r2", frozenset({0}), Stamp(1, 2)))
    assert bench.replica.holds == {"r2": {1}}
    bench.replica.obey(Retire(bench.replica.process, "r2", frozenset({1}), Stamp(1, 1)))
    assert bench.replica.holds == {"r2": {1}}, "an older order"


def test_an_order_for_another_incarnation_is_not_its_own() -> None:
    bench = Bench()
    other = Process("cluster-0", "replica", "cluster", "x", 2)
    bench.replica.obey(Prepare(other, "r2", BOTH, Stamp(1, 1)))
    assert bench.replica.fence.epoch == 0


def test_a_gateway_is_routed_only_where_it_is_prepared() -> None:
    bench = Bench()
    bench.gateway.obey(Route(bench.gateway.process, "r2", Stamp(1, 1)))
    assert bench.gateway.begin() is None
    bench.prepare(bench.gateway, WHOLE, number=2)
    bench.gateway.obey(Route(bench.gateway.process, "r2", Stamp(1, 3)))
    assert bench.gateway.begin() == "r2"
    assert bench.gateway.report().busy == {"r2": 1}


def test_a_gateway_that_is_told_to_drop_what_it_uses_cries_out() -> None:
    bench = Bench()
    bench.prepare(bench.gateway, WHOLE)
    bench.gateway.obey(Route(bench.gateway.process, "r2", Stamp(1, 2)))
    with pytest.raises(Violation, match="gateway-0 was told to drop r2 while requests are on it"):
        bench.gateway.obey(Retire(bench.gateway.process, "r2", WHOLE, Stamp(1, 3)))


def test_a_gateway_tells_when_the_last_request_on_an_old_release_ends() -> None:
    bench = Bench()
    bench.gateway.routed = (1, "r1")
    bench.gateway.begin()
    bench.gateway.begin()
    bench.gateway.routed = (2, "r2")
    bench.gateway.end("r1")
    assert not bench.told
    bench.gateway.end("r1")
    assert bench.told == [bench.gateway]

"""What keeps a release from traffic, and which orders follow from what the processes say."""

from __future__ import annotations

from kapelle.core.rollout_fleet import Fleet
from kapelle.core.rollout_messages import WHOLE, Pointer, Prepare, Process, Report, Retire, Route, Shape, Terms
from kapelle.core.rollout_targets import Targets
from kapelle.core.rollout_view import View


class House:
    """One gateway and two replicas of one service of two shards; each report is at epoch 5 unless said otherwise."""

    def __init__(self) -> None:
        self.fleet = Fleet()
        self.targets = Targets(self.fleet, Terms())
        for release in ("r1", "r2"):
            self.targets.shapes[release] = Shape(release, {"cluster": (10, 10)})
        self.number = 0

    def gateway(
        self, *held: str, routed: str | None = None, busy: dict[str, int] | None = None, epoch: int = 5
    ) -> None:
        self.number += 1
        process = Process("gateway", "gateway", "", "g", 1)
        route = None if routed is None else (5, routed)
        holds = dict.fromkeys(held, WHOLE)
        self.fleet.heard(Report(process, self.number, epoch, holds=holds, routed=route, busy=busy or {}), now=0.0)

    def replica(self, name: str, epoch: int = 5, failed: dict[str, str] | None = None, **held: set[int]) -> None:
        self.number += 1
        holds = {release: frozenset(shards) for release, shards in held.items()}
        process = Process(name, "replica", "cluster", name, 1)
        self.fleet.heard(Report(process, self.number, epoch, holds=holds, failed=failed or {}), now=0.0)

    def view(self, *wanted: str, may_drop: bool = True) -> View:
        return View(self.fleet, self.targets, Pointer(5, "r1"), list(wanted or ("r1",)), 0.0, may_drop)

    def orders(self, *wanted: str, may_drop: bool = True) -> list[tuple[str, str, str, set[int]]]:
        found = self.view(*wanted, may_drop=may_drop).orders()
        return [(kind.__name__, member.process.name, release, set(shards)) for kind, member, release, shards in found]


def at_rest() -> House:
    house = House()
    house.replica("a", r1={0})
    house.replica("b", r1={1})
    house.gateway("r1", routed="r1")
    return house


def test_at_rest_there_is_nothing_to_do() -> None:
    assert at_rest().orders() == []
    assert at_rest().view().missing("r1") == []
    assert at_rest().view().all_routed()


def test_whoever_has_not_heard_of_the_epoch_is_greeted_and_not_counted_on() -> None:
    house = at_rest()
    house.replica("b", epoch=4, r1={1})
    assert house.orders() == [(Prepare.__name__, "b", "r1", {1})]
    assert house.view().missing("r1") == ["b"]
    assert not house.view().whole("r1")


def test_a_gateway_is_routed_once_every_shard_is_ready() -> None:
    house = at_rest()
    house.gateway("r1")
    assert house.orders() == [(Route.__name__, "gateway", "r1", {0})]
    house.replica("b")
    assert (Route.__name__, "gateway", "r1", {0}) not in house.orders()


def test_the_release_with_traffic_is_loaded_first() -> None:
    house = at_rest()
    house.replica("b")
    assert ("Prepare", "b", "r1", {0, 1} - {0}) in house.orders("r1", "r2")
    assert not any(order[1:3] == ("b", "r2") for order in house.orders("r1", "r2"))


def test_a_replica_drops_nothing_that_a_gateway_still_has() -> None:
    house = at_rest()
    house.replica("b", r1={1}, r2={1})
    drop = (Retire.__name__, "b", "r2", {1})
    assert house.orders() == [drop]
    assert house.orders(may_drop=False) == []
    house.gateway("r1", "r2", routed="r1")
    assert house.orders() == [(Retire.__name__, "gateway", "r2", {0})]
    house.gateway("r1", "r2", routed="r1", busy={"r2": 1})
    assert house.orders() == []
    house.gateway("r1", routed="r1", epoch=4)
    assert drop not in house.orders(), "it may yet obey an order of an earlier epoch"


def test_a_gateway_nobody_has_heard_of_may_have_anything() -> None:
    house = at_rest()
    house.replica("b", r1={1}, r2={1})
    house.fleet.started(Process("another", "gateway", "", "g", 1), now=0.0)
    assert house.orders() == []
    assert house.view().missing("r1") == ["another"]


def test_a_shard_that_was_given_to_another_goes_once_that_one_has_it() -> None:
    house = at_rest()
    assert house.orders() == []
    house.replica("a", r1={0, 1})
    assert house.orders() == [(Retire.__name__, "a", "r1", {1})]
    house.replica("b")
    assert house.orders() == [(Prepare.__name__, "b", "r1", {1})]


def test_failures_of_earlier_attempts_do_not_count() -> None:
    house = at_rest()
    house.replica("b", failed={"r2": "dimension 3, expected 4"}, r1={1})
    assert house.view().failure("r2", epoch=6) is None
    assert house.view().failure("r2", epoch=5) == "b could not load it: dimension 3, expected 4"


def test_a_release_without_a_known_shape_stops_all_orders() -> None:
    house = at_rest()
    house.replica("b")
    assert house.orders("r1", "r9") == []
    assert not house.view().whole("r9")


def test_without_a_gateway_nothing_is_ready_for_traffic() -> None:
    house = House()
    house.replica("a", r1={0, 1})
    assert house.view().missing("r1") == ["a gateway"]


def test_an_empty_log_wants_nothing_held() -> None:
    house = House()
    house.replica("a", epoch=4, r2={0, 1})
    house.gateway(epoch=4)
    view = View(house.fleet, house.targets, Pointer(5, None), [], 0.0, may_drop=True)
    greeted = {member.process.name for kind, member, _, shards in view.orders() if kind is Prepare and not shards}
    assert greeted == {"a", "gateway"}

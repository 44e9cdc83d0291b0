"""Where there is room for one release only, half of the replicas change first, and either half can answer everything."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from kapelle.core.assignment import Replica, assign
from kapelle.core.halves import NEWER, OLDER, in_halves
from kapelle.core.rollout_messages import Ended, Outcome, Pointer, Prepare
from tests.unit.core.rollout_stage import TERMS, Stage

fleets = st.lists(st.sampled_from("abc"), min_size=2, max_size=9).map(
    lambda nodes: [Replica(f"cluster-{number}", node) for number, node in enumerate(nodes)]
)


@given(fleets, st.lists(st.integers(0, 1000), min_size=1, max_size=12))
def test_each_half_has_every_shard(replicas: list[Replica], sizes: list[int]) -> None:
    halves = in_halves(replicas)
    assert [one.name for one in sorted(halves, key=lambda one: one.name)] == [one.name for one in replicas]
    held = assign(sizes, halves, copies=2)
    for half in (OLDER, NEWER):
        shards = [held[one.name] for one in halves if one.node == half]
        assert frozenset().union(*shards) == set(range(len(sizes)))


@given(fleets)
def test_the_half_that_serves_meanwhile_is_not_the_smaller_one(replicas: list[Replica]) -> None:
    nodes = [one.node for one in in_halves(replicas)]
    assert nodes.count(OLDER) - nodes.count(NEWER) in (0, 1)


def test_two_nodes_are_two_halves() -> None:
    replicas = [Replica("a-0", "left"), Replica("b-0", "right"), Replica("a-1", "left"), Replica("b-1", "right")]
    assert {one.name: one.node for one in in_halves(replicas)} == {
        "a-0": OLDER, "a-1": OLDER, "b-0": NEWER, "b-1": NEWER,
    }  # fmt: skip


def stage_in_turn(log: list[Pointer] | None = None) -> Stage:
    return Stage(log, in_turn=frozenset({"cluster"}))


def started(log: list[Pointer] | None = None, held: str = "r1") -> Stage:
    stage = stage_in_turn(log)
    for player in stage.players.values():
        player.holds = {held: frozenset({0, 1}) if player.process.service == "cluster" else frozenset({0})}
    stage.players["gateway"].routed = (1, held)
    stage.settle()
    return stage


def never_two(stage: Stage) -> None:
    """Let every replica of the cluster complain when it is told to build a second release."""
    for name in ("cluster-0", "cluster-1"):
        player = stage.players[name]
        obey = player.obey

        def watched(order: object, player: object = player, obey: object = obey) -> None:
            others = set(player.holds) - {getattr(order, "release", None)}  # type: ignore[attr-defined]  # a player
            assert not (isinstance(order, Prepare) and order.shards and others), f"{order} beside {others}"
            obey(order)  # type: ignore[operator]  # its own method

        player.obey = watched  # type: ignore[method-assign]  # to look on


def test_one_half_changes_then_the_other_when_the_trial_is_over() -> None:
    stage = started()
    never_two(stage)
    stage.play(stage.rollout.publish("r2", stage.now))
    assert stage.log[-1].release == "r2"
    assert stage.held()["cluster-0"] == ["r1"], "to go back to"
    assert stage.held()["cluster-1"] == ["r2"]
    assert stage.held()["encoder"] == ["r1", "r2"], "there is room"
    stage.wait(TERMS.bake + TERMS.linger + 1)
    assert {name: held for name, held in stage.held().items() if held != ["r2"]} == {}
    assert stage.players["cluster-0"].holds["r2"] == {0, 1}


def test_going_back_needs_nothing_to_be_loaded_first() -> None:
    stage = started()
    never_two(stage)
    stage.play(stage.rollout.publish("r2", stage.now))
    stage.wait(1)
    stage.play(stage.rollout.rollback(stage.now))
    assert stage.log[-1].release == "r1"
    stage.wait(TERMS.linger + 1)
    assert set(map(tuple, stage.held().values())) == {("r1",)}


def test_what_does_not_load_leaves_the_old_release_everywhere() -> None:
    stage = started()
    never_two(stage)
    stage.players["cluster-1"].broken.add("r2")
    stage.play(stage.rollout.publish("r2", stage.now))
    assert [one.outcome for one in stage.said if isinstance(one, Ended)] == [Outcome.REFUSED]
    stage.wait(TERMS.linger + 1)
    assert set(map(tuple, stage.held().values())) == {("r1",)}


def test_what_serves_before_the_first_release_makes_room_for_it_by_halves() -> None:
    stage = started([Pointer(1, None, author="somebody before")], held="local")
    never_two(stage)
    stage.play(stage.rollout.publish("r1", stage.now))
    assert stage.log[-1].release == "r1"
    stage.wait(TERMS.linger + 1)
    assert set(map(tuple, stage.held().values())) == {("r1",)}

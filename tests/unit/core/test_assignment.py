"""Shards get their copies, on different nodes, evenly, and stay where they are."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kapelle.core.assignment import TOLERANCE, Replica, Unassignable, assign, assign_next

SIZES = st.lists(st.integers(0, 1000), max_size=12)
COPIES = st.integers(1, 4)
REPLICAS = st.lists(st.sampled_from("abc"), min_size=1, max_size=7).map(
    lambda nodes: [Replica(f"replica-{number}", node) for number, node in enumerate(nodes)]
)

BEFORE = st.dictionaries(st.sampled_from([f"replica-{n}" for n in range(9)]), st.frozensets(st.integers(0, 14)))


def holders(assignment: dict[str, frozenset[int]], shard: int) -> list[str]:
    return [name for name, held in assignment.items() if shard in held]


def check_copies(sizes: list[int], replicas: list[Replica], copies: int, made: dict[str, frozenset[int]]) -> None:
    node = {each.name: each.node for each in replicas}
    assert made.keys() == node.keys()
    for shard in range(len(sizes)):
        names = holders(made, shard)
        assert len(names) == min(copies, len(replicas))
        assert len({node[name] for name in names}) == min(len(names), len(set(node.values())))
    assert all(0 <= shard < len(sizes) for held in made.values() for shard in held)


@given(SIZES, REPLICAS, COPIES)
def test_every_shard_has_its_copies_on_as_many_nodes_as_there_are(
    sizes: list[int], replicas: list[Replica], copies: int
) -> None:
    check_copies(sizes, replicas, copies, assign(sizes, replicas, copies))


@given(SIZES, REPLICAS, COPIES, BEFORE)
def test_whatever_was_before(
    sizes: list[int], replicas: list[Replica], copies: int, before: dict[str, frozenset[int]]
) -> None:
    check_copies(sizes, replicas, copies, assign(sizes, replicas, copies, before))
    check_copies(sizes, replicas, copies, assign_next(sizes, replicas, copies, before))


@given(SIZES, REPLICAS, COPIES)
def test_the_order_of_the_input_says_nothing(sizes: list[int], replicas: list[Replica], copies: int) -> None:
    before = assign(sizes, replicas[1:], copies) if replicas[1:] else {}
    shuffled = list(reversed(replicas))
    backwards = dict(reversed(before.items()))
    assert assign(sizes, replicas, copies, before) == assign(sizes, shuffled, copies, backwards)


@given(SIZES, REPLICAS, COPIES)
def test_nothing_changes_when_nothing_changed(sizes: list[int], replicas: list[Replica], copies: int) -> None:
    made = assign(sizes, replicas, copies)
    assert assign(sizes, replicas, copies, made) == made


@given(SIZES, REPLICAS.filter(lambda replicas: len(replicas) > 1), COPIES, st.integers(0, 6))
def test_when_a_replica_leaves_only_its_copies_move(
    sizes: list[int], replicas: list[Replica], copies: int, number: int
) -> None:
    before = assign(sizes, replicas, copies)
    left = replicas[number % len(replicas)]
    made = assign(sizes, [each for each in replicas if each != left], copies, before)
    for name, held in made.items():
        assert before[name] <= held, "nobody else gives a shard away"
        assert held - before[name] <= before[left.name], "and nobody takes one that has not lost a copy"


@given(SIZES, REPLICAS, COPIES, st.sampled_from("abcd"))
def test_when_a_replica_comes_copies_move_to_it_alone(
    sizes: list[int], replicas: list[Replica], copies: int, node: str
) -> None:
    before = assign(sizes, replicas, copies)
    made = assign(sizes, [*replicas, Replica("newcomer", node)], copies, before)
    for name, held in before.items():
        assert made[name] <= held
        assert held - made[name] <= made["newcomer"]


@given(SIZES, st.integers(1, 7), COPIES)
def test_no_single_move_would_make_two_loads_more_even(sizes: list[int], count: int, copies: int) -> None:
    replicas = [Replica(f"replica-{number}", f"node-{number}") for number in range(count)]
    made = assign(sizes, replicas, copies)
    weights = [max(1, size) for size in sizes]
    load = {name: sum(weights[shard] for shard in held) for name, held in made.items()}
    for heavy, held in made.items():
        for light, others in made.items():
            for shard in held - others:
                assert load[heavy] - load[light] <= weights[shard]


@given(st.lists(st.just(100), min_size=1, max_size=30), st.integers(1, 5))
def test_equal_shards_are_dealt_out_evenly(sizes: list[int], count: int) -> None:
    made = assign(sizes, [Replica(str(number), str(number)) for number in range(count)], copies=1)
    counts = sorted(len(held) for held in made.values())
    assert counts[-1] - counts[0] <= 1


def test_empty_shards_do_not_end_on_one_replica() -> None:
    made = assign([0] * 10, [Replica("a", "x"), Replica("b", "y")], copies=1)
    assert Counter(map(len, made.values())) == {5: 2}


def test_a_new_release_leaves_shards_where_they_are() -> None:
    replicas = [Replica("a", "x"), Replica("b", "y")]
    now = {"a": frozenset({0, 3}), "b": frozenset({1, 2})}
    assert assign_next([10, 11, 10, 9], replicas, 1, now) == now


def test_a_new_release_of_very_different_sizes_is_dealt_out_anew() -> None:
    replicas = [Replica("a", "x"), Replica("b", "y")]
    made = assign_next([100, 1, 1, 100], replicas, 1, {"a": frozenset({0, 3}), "b": frozenset({1, 2})})
    assert {len(held & {0, 3}) for held in made.values()} == {1}
    assert TOLERANCE < 200 / 101


def test_a_fleet_that_grows_step_by_step_stays_even() -> None:
    replicas = [Replica(f"replica-{number:02}", f"node-{number}") for number in range(12)]
    made = assign([50] * 60, replicas[:1], 2)
    for earlier, later in pairwise(range(1, 13)):
        assert earlier < later
        made = assign([50] * 60, replicas[:later], 2, made)
    assert max(map(len, made.values())) - min(map(len, made.values())) <= 1


def test_no_replica_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(Unassignable, match="3 shards and no replica to hold them; start at least one, better 2"):
        assign([1, 2, 3], [], copies=2)


def test_nothing_to_assign_needs_no_replica() -> None:
    assert assign([], [], copies=1) == {}


def test_copies_are_at_least_one() -> None:
    with pytest.raises(Unassignable, match="copies is 0; expected 1 or more"):
        assign([1], [Replica("a", "x")], copies=0)


def test_two_replicas_of_one_name_are_refused() -> None:
    with pytest.raises(Unassignable, match="share the name a"):
        assign([1], [Replica("a", "x"), Replica("a", "y")], copies=1)

"""Every shard is held as often as asked for, in different processes, and the processes are evenly filled."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from kapelle.core.placement import Demand, Place, place, shard_processes

SIZES = {"shards": st.integers(1, 200), "copies": st.integers(1, 8), "cores": st.integers(1, 128)}


@given(**SIZES, chosen=st.none() | st.integers(1, 250))
def test_each_shard_has_its_copies_in_different_processes(
    shards: int, copies: int, cores: int, chosen: int | None
) -> None:
    places = place([Demand("Cluster", copies, shards)], cores, shard_processes_per_copy=chosen)
    held = Counter(shard for one in places for shard in one.shards)
    assert held == dict.fromkeys(range(shards), copies)
    assert all(len(set(one.shards)) == len(one.shards) for one in places), "no process holds a shard twice"


@given(**SIZES, chosen=st.none() | st.integers(1, 250))
def test_processes_are_evenly_filled_and_none_is_empty(
    shards: int, copies: int, cores: int, chosen: int | None
) -> None:
    places = place([Demand("Cluster", copies, shards)], cores, shard_processes_per_copy=chosen)
    sizes = [len(one.shards) for one in places]
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1


@given(**SIZES)
def test_the_machine_bounds_the_number_of_processes(shards: int, copies: int, cores: int) -> None:
    processes = shard_processes(shards, copies, cores)
    assert 1 <= processes <= shards
    assert processes == 1 or processes * copies <= 2 * cores
    enough_cores = shards * copies <= 2 * cores
    assert (processes == shards) is (enough_cores or shards == 1), "a process per shard where there is room"


@given(
    demands=st.lists(
        st.builds(Demand, st.sampled_from("ABCDE"), st.integers(1, 5), st.integers(0, 20)),
        unique_by=lambda demand: demand.service,
    ),
    cores=st.integers(1, 16),
)
def test_names_are_unique_and_the_result_depends_on_nothing_else(demands: list[Demand], cores: int) -> None:
    places = place(demands, cores)
    assert len({one.name for one in places}) == len(places)
    assert place(demands, cores) == places


def test_a_service_without_shards_has_one_process_per_replica() -> None:
    assert place([Demand("Encoder", 2)], cores=1) == [Place("Encoder", 0, (0,)), Place("Encoder", 1, (0,))]


def test_a_small_machine_puts_several_shards_into_one_process() -> None:
    places = place([Demand("Cluster", copies=2, shards=5)], cores=2)
    assert places == [
        Place("Cluster", 0, (0, 2, 4)),
        Place("Cluster", 1, (1, 3)),
        Place("Cluster", 2, (0, 2, 4)),
        Place("Cluster", 3, (1, 3)),
    ]

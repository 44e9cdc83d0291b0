from __future__ import annotations

from report import Comparison, page, table
from rounds import Bare, Load, Round, Settings


def round_of(target: str, cpu_us: float) -> Round:
    load = Load(right=10, errors={}, rate=100.0, p50=1.0, p90=2.0, p99=3.0, worst=4.0, cpu_us=cpu_us, others=0.0)
    return Round(target, 0.1, crowd=load, alone=load, open=load, memory_mib=50.0)


def comparison(bare: list[Bare]) -> Comparison:
    rounds = {"mosec": [round_of("mosec", 300.0)], "kapelle": [round_of("kapelle", 200.0)]}
    return Comparison("relay", "an array", "today", "a machine", Settings(2, 16, 60), [], rounds, {}, {}, bare)


def test_targets_are_sorted_by_cost_and_compared_with_kapelle() -> None:
    rows = table(comparison([])).splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == ["| kapelle", "| mosec"]
    assert "**300.0** (300.0 to 300.0) | 1.50 |" in rows[1]


def test_the_work_without_a_server_comes_first_and_has_no_latencies() -> None:
    rows = table(comparison([Bare(90.0, 11_000.0), Bare(100.0, 10_000.0), Bare(110.0, 9_000.0)])).splitlines()
    assert rows[2] == "| no server | **100.0** (90.0 to 110.0) | 0.50 | 10,000 | - | - | - | - | - | - |"
    assert {row.count("|") for row in rows} == {11}


def test_the_page_says_what_no_server_means_only_where_there_is_such_a_row() -> None:
    assert "No server:" in page(comparison([Bare(100.0, 10_000.0)]))
    assert "No server:" not in page(comparison([]))

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from kapelle.bench.figures import FUSED, HTTP, SHARED, Comparison
from kapelle.bench.picture import draw
from kapelle.bench.table import markdown
from tests.unit.bench.made_up import COMPARISON, LARGE


def test_between_processes_the_quickest_way_comes_first_and_fused_is_none() -> None:
    ways = [one.way for one in LARGE.between]
    assert (ways[0], ways[-1]) == (SHARED, HTTP)
    assert FUSED not in ways


def test_finds_the_line_of_a_way() -> None:
    found = LARGE.line(HTTP)
    assert found is not None
    assert found.alone.p50 == 0.008
    assert LARGE.line("pigeons") is None


def test_goes_through_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(COMPARISON), type=Comparison) == COMPARISON


def test_one_service_is_not_called_several() -> None:
    found = replace(COMPARISON, terms=replace(COMPARISON.terms, stages=1))
    assert "through 1 service without work, in a process of its own<" in draw(found)
    assert "\n1 service, in a process of its own, on 2 cores" in markdown(found, "compare.svg")
    assert "\n3 services, each in a process of its own, on 2 cores" in markdown(COMPARISON, "compare.svg")

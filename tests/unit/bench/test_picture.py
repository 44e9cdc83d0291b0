from __future__ import annotations

from xml.etree import ElementTree as ET

from kapelle.bench.figures import Block, Comparison, Line
from kapelle.bench.picture import draw
from tests.unit.bench.made_up import COMPARISON, LARGE, SMALL, TERMS

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return [one.text or "" for one in ET.fromstring(svg).iter(f"{SVG}text")]


def test_has_a_line_for_each_way_in_each_panel_and_a_bar_for_each_of_the_own_request() -> None:
    root = ET.fromstring(draw(COMPARISON))
    lines = [one for one in root.iter(f"{SVG}path") if one.get("class") == "way"]
    assert len(lines) == 6 + 3 * 6  # the legend's, and those of three panels
    assert len(list(root.iter(f"{SVG}circle"))) == 3 * 6 * 2
    assert len(list(root.iter(f"{SVG}rect"))) == 3 * 4


def test_everything_is_inside() -> None:
    root = ET.fromstring(draw(COMPARISON))
    *_, width, height = map(float, (root.get("viewBox") or "").split())
    for dot in root.iter(f"{SVG}circle"):
        assert 0 < float(dot.get("cx") or 0) < width
        assert 0 < float(dot.get("cy") or 0) < height


def test_one_size_and_no_request_are_enough() -> None:
    assert "1 KB" in texts(draw(Comparison(TERMS, [SMALL], None)))


def test_without_cpu_time_its_panel_is_left_out() -> None:
    def blind(line: Line) -> Line:
        return Line(
            line.way,
            *(type(one)(one.requests, one.p50, one.p99, one.throughput, None) for one in (line.alone, line.loaded)),
        )

    found = Comparison(TERMS, [Block(LARGE.size, LARGE.lookup, list(map(blind, LARGE.lines)))], None)
    assert "8 at once: CPU for a request" not in texts(draw(found))

from __future__ import annotations

import json
import re
from itertools import combinations
from typing import Any

from kapelle.deploy.dashboard import ROWS, dashboard_json
from tests.house.sources import ROOT, sources

BOARD: dict[str, Any] = json.loads(dashboard_json())
# Prometheus adds these itself.
OWN = {"up"}


def known_metrics() -> set[str]:
    """The names that the code has, and those of the reference."""
    found = {name for source in sources("src/kapelle") for name in re.findall(r'"(kapelle_[a-z_]+)"', source.text)}
    return found | set(re.findall(r"`(kapelle_[a-z_]+)`", (ROOT / "docs/reference/metrics.md").read_text()))


def test_asks_for_metrics_that_there_are() -> None:
    asked = {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for rows in ROWS.values()
        for panel in rows
        for expression, _ in panel.series
        for name in re.findall(r"kapelle_[a-z_]+", expression)
    }
    assert asked - known_metrics() == set()


def test_has_the_structure_that_grafana_reads() -> None:
    assert BOARD["uid"] == "kapelle"
    assert BOARD["schemaVersion"] >= 36
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in BOARD["panels"]:
        assert panel["type"] in ("row", "timeseries")
        if panel["type"] == "timeseries":
            assert panel["datasource"] == {"type": "prometheus", "uid": "prometheus"}
            assert panel["fieldConfig"]["defaults"]["unit"]
            assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0


def test_panels_do_not_overlap() -> None:
    for one, other in combinations((panel["gridPos"] for panel in BOARD["panels"]), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or apart
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in BOARD["panels"])


def test_legends_use_labels_of_their_series() -> None:
    for row in ROWS.values():
        for panel in row:
            for expression, legend in panel.series:
                grouped = re.search(r"by \(([^)]*)\)", expression)
                if grouped:
                    labels = {name.strip() for name in grouped[1].split(",")}
                    assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= labels

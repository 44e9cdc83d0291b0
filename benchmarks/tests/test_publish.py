from __future__ import annotations

from math import isnan
from xml.etree import ElementTree as ET

import pytest

from publish import Update
from publish_picture import draw

# Due, seconds, version: an update between 1.0 and 1.5 s that lost one request and was seen by two clients out of order.
RECORDS = [(0.0, 0.010, 1), (0.5, 0.020, 1), (1.0, 5.0, 0), (1.5, 0.010, 2), (1.6, 0.030, 1), (2.0, 0.015, 2)]


def test_what_clients_saw_is_counted() -> None:
    update = Update("by hand", RECORDS, 1.0)
    assert update.failed == 1
    assert update.stale == 1
    assert update.gap == pytest.approx(0.99)
    assert update.p99(0.0, 1.0) == pytest.approx(20.0)
    assert update.p99(1.5, 3.0) == pytest.approx(30.0)
    assert isnan(update.p99(10.0, 11.0))


def test_the_picture_has_a_panel_for_each_way() -> None:
    picture = ET.fromstring(draw([("one", RECORDS), ("other", [])], 1.0, 3.0))
    names = [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text") if text.get("class") == "name"]
    assert names == ["one", "other"]
    paths = {
        path.get("class"): path.get("d") or "" for path in list(picture.iter("{http://www.w3.org/2000/svg}path"))[:8]
    }
    assert {name: paths[name].count("h0") for name in ("dot v0", "dot v1", "dot v2")} == {
        "dot v0": 1, "dot v1": 3, "dot v2": 2,
    }  # fmt: skip

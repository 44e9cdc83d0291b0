from __future__ import annotations

import xml.etree.ElementTree as ET

from batching import Step, batches_of, table
from batching_picture import draw

METRICS = """# TYPE kapelle_batch_rows histogram
kapelle_batch_rows_bucket{method="double",replica="Model-0",le="1"} 3
kapelle_batch_rows_sum{method="double",replica="Model-0"} 40.0
kapelle_batch_rows_count{method="double",replica="Model-0"} 5
kapelle_batch_rows_sum{method="double",replica="Model-1"} 2.0
kapelle_batch_rows_count{method="double",replica="Model-1"} 2
"""


def test_batches_are_summed_over_replicas() -> None:
    assert batches_of(METRICS) == (42.0, 7.0)
    assert batches_of("") == (0.0, 0.0)


def test_a_rate_has_a_row() -> None:
    assert (
        table([Step(1600, 1598.4, 12.34, 9.1, 22.2, 3)]).splitlines()[2] == "| 1,600 | 1,598 | 12.3 | 9.1 | 22.2 | 3 |"
    )


def test_the_deadline_stays_in_the_picture() -> None:
    picture = ET.fromstring(draw([(50.0, 1.0, 50.0, 6.0, 7.0), (800.0, 6.0, 800.0, 9.0, 14.0)], 50.0))
    heights = [
        float(path.attrib["d"].split()[1].split("H")[0])
        for path in picture.iter("{http://www.w3.org/2000/svg}path")
        if path.attrib["class"] == "deadline"
    ]
    assert len(heights) == 1
    assert 0 < heights[0] < float(picture.attrib["viewBox"].split()[3])


def test_one_rate_can_be_drawn() -> None:
    assert "50" in draw([(50.0, 1.0, 50.0, 6.0, 7.0)], 50.0)

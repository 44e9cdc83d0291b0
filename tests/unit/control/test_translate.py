"""Orders and reports say the same on both sides of the wire."""

from __future__ import annotations

import pytest

from kapelle.control import translate
from kapelle.core import rollout_messages as core
from kapelle.wire import messages

PROCESS = core.Process("Page-0", "replica", "Page", "here", 7)
STAMP = core.Stamp(3, 14)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (core.Prepare(PROCESS, "r2", frozenset({2, 0}), STAMP), messages.Prepare(3, 14, "r2", [0, 2])),
        (core.Retire(PROCESS, "r1", frozenset({1}), STAMP), messages.Retire(3, 14, "r1", [1])),
        (core.Route(PROCESS, "r2", STAMP), messages.Route(3, 14, "r2")),
        (
            core.Route(PROCESS, "r1", STAMP, core.Side("r2", 0.1, mirrored=True)),
            messages.Route(3, 14, "r1", messages.Side("r2", 0.1, True)),
        ),
    ],
)
def test_an_order(order: core.Order, expected: messages.Order) -> None:
    assert translate.message(order) == expected


def test_a_report_of_a_replica() -> None:
    said = messages.Report(4, 3, {"r2": 14}, {"r1": [0, 2]}, ["r2"], {"r3": "NaN"})
    assert translate.report(PROCESS, said) == core.Report(
        PROCESS, 4, 3, {"r2": 14}, {"r1": frozenset({0, 2})}, frozenset({"r2"}), {"r3": "NaN"}, None, {}, None
    )


def test_a_report_of_a_gateway() -> None:
    side = messages.Side("r2", 0.5, False)
    said = messages.Report(1, 3, {}, {"r1": [0], "r2": [0]}, [], {}, (3, "r1"), {"r2": 5}, side)
    found = translate.report(PROCESS, said)
    assert (found.routed, found.busy, found.side) == ((3, "r1"), {"r2": 5}, core.Side("r2", 0.5))

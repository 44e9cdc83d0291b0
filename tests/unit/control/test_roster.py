"""Which process is in which life, and what is known of what it holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from kapelle.control.roster import Roster
from kapelle.wire import messages


@dataclass(eq=False)
class Process:
    """What the roster looks at of a process."""

    name: str
    slot: str
    role: str
    code: str
    service: str = "Model"
    node: str = "here"
    started: float = 1.0


def process(name: str, slot: str = "", role: str = "replica", code: str = "") -> Any:
    return Process(name, slot or name, role, code)


def report(**holds: list[int]) -> messages.Report:
    return messages.Report(1, 0, {}, holds, [], {})


@pytest.fixture
def roster() -> Roster:
    return Roster()


def test_a_successor_is_the_next_life_of_the_same_replica(roster: Roster) -> None:
    first, second = roster.add(process("Model-0")), roster.add(process("Model-0~2", "Model-0"))
    assert first.name == second.name == "Model-0"
    assert second.incarnation > first.incarnation


def test_a_gateway_has_requests_of_its_own_and_so_a_life_of_its_own(roster: Roster) -> None:
    lives = {roster.add(process(name, "gateway-0", "gateway")).name for name in ("gateway-0", "gateway-0~2")}
    assert lives == {"gateway-0", "gateway-0~2"}


def test_whoever_has_ended_is_not_found(roster: Roster) -> None:
    one = process("Model-0", code="abc")
    life = roster.add(one)
    assert (roster.find(life), roster.get(one), roster.codes) == (one, life, {"abc"})
    roster.heard(one, report(r1=[0]))
    assert roster.remove(one) == life
    assert (roster.find(life), roster.get(one), roster.report(one), roster.codes) == (None, None, None, set())
    assert roster.remove(one) is None


def test_what_a_place_held_is_remembered_after_its_process(roster: Roster) -> None:
    one = process("Model-0")
    roster.add(one)
    roster.heard(one, report(r1=[2, 3]))
    roster.remove(one)
    assert roster.last_held("Model-0", "r1", [0]) == [2, 3]
    assert roster.last_held("Model-0", "r2", [0]) == [0]


def test_people_are_told_what_it_has_in_which_state(roster: Roster) -> None:
    one = process("gateway-0", role="gateway")
    assert roster.releases(one) == {}
    roster.add(one)
    side = messages.Side("r3", 0.1, mirrored=False)
    said = messages.Report(
        1, 4, {}, {"r1": [0], "r2": [0], "r3": [0]}, ["r4"], {"r5": "no"}, (4, "r2"), {"r1": 3}, side
    )
    roster.heard(one, said)
    assert roster.releases(one) == {
        "r1": "3 in flight", "r2": "serving", "r3": "on 10%", "r4": "loading", "r5": "failed",
    }  # fmt: skip
    assert roster.held == {"r1", "r2", "r3", "r4"}
    assert list(roster.gateways()) == [one]

"""What is to be held follows from the pointer, from what is being prepared, and from what gateways still use.

A release with other code is held by processes of its own; requests go to them all at once, and back.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from kapelle.core.rollout_messages import Outcome, Pointer, Process, Rest, Route, Shape, Side
from kapelle.core.rollout_wants import Wants
from tests.unit.core.rollout_stage import COPIES, TERMS, Player, Stage

NOBODY: frozenset[str] = frozenset()


def test_the_current_release_is_the_most_urgent() -> None:
    wants = Wants(Pointer(3, "r2", "r1"), "r3", None, frozenset({"r2"}))
    assert wants.releases == ["r2", "r3"]
    assert wants.by_age == ["r2", "r3"]
    assert wants.left == []


def test_on_trial_the_release_before_is_the_older_one() -> None:
    wants = Wants(Pointer(3, "r2", "r1"), None, "r1", frozenset({"r2"}))
    assert wants.releases == ["r2", "r1"]
    assert wants.by_age == ["r1", "r2"]


def test_what_gateways_still_use_is_held_and_older() -> None:
    wants = Wants(Pointer(3, "r2", "r1"), None, None, frozenset({"r1", "r2"}))
    assert wants.releases == ["r2", "r1"]
    assert wants.by_age == ["r1", "r2"]
    assert wants.left == ["r1"]


def test_what_is_at_the_side_is_named() -> None:
    wants = Wants(Pointer(3, "r1", side=Side("r2", 0.1)), "r2", None, frozenset({"r1", "r2"}))
    assert wants.releases == wants.by_age == ["r1", "r2"]
    assert wants.left == []


def test_before_the_first_release_there_is_what_serves() -> None:
    assert Wants(Pointer(0, None), "r1", None, frozenset({"local"})).by_age == ["local", "r1"]
    assert Wants(Pointer(0, None), None, None, NOBODY).releases == []


def publish(stage: Stage, release: str) -> None:
    stage.play(stage.rollout.publish(release, stage.now))


class Versions(Stage):
    """The same fleet twice: what runs, and beside it, for r2, processes of other code."""

    def __init__(self) -> None:
        super().__init__()
        for number in (2, 3):
            self.rollout.shape(Shape(f"r{number}", {"encoder": (), "cluster": (10, 20)}, COPIES, code="b"), self.now)

    def start_others(self) -> None:
        for name, player in list(self.players.items()):
            process = replace(player.process, name=f"{name}.b", code="b")
            self.players[process.name] = Player(process)
            self.play(self.rollout.started(process, self.now))
        for name in [name for name in self.players if name.endswith(".b")]:
            self.tell(name)


@pytest.fixture
def versions() -> Versions:
    stage = Versions()
    for player in stage.players.values():
        player.holds = {"r1": frozenset({0, 1}) if player.process.service == "cluster" else frozenset({0})}
    stage.players["gateway"].routed = (1, "r1")
    stage.settle()
    return stage


def test_other_code_is_asked_for_and_the_old_is_kept_for_the_trial(versions: Versions) -> None:
    assert versions.rollout.codes == {""}
    publish(versions, "r2")
    assert versions.rollout.codes == {"", "b"}
    assert versions.log[-1].release == "r1", "nobody runs it yet"
    versions.start_others()
    assert versions.log[-1].release == "r2"
    assert versions.held() == {name: ["r2"] if name.endswith(".b") else ["r1"] for name in versions.players}, (
        "nobody holds what is not of its code"
    )
    routed = {name: player.routed for name, player in versions.players.items() if "gateway" in name}
    assert routed == {"gateway": (4, ""), "gateway.b": (4, "r2")}
    assert versions.rollout.codes == {"", "b"}
    versions.wait(TERMS.bake)
    assert versions.rollout.codes == {"b"}
    assert [one.outcome for one in versions.ended] == [Outcome.COMMITTED]


def test_going_back_gives_the_requests_to_the_old_code_again(versions: Versions) -> None:
    publish(versions, "r2")
    versions.start_others()
    versions.play(versions.rollout.breach("slow", versions.now))
    assert versions.log[-1].release == "r1"
    assert versions.players["gateway"].routed == (5, "r1")
    assert versions.players["gateway.b"].routed == (5, "")
    assert versions.rollout.codes == {""}


def test_old_gateways_take_requests_until_a_new_one_does(versions: Versions) -> None:
    publish(versions, "r2")
    players = versions.players
    stuck = players["gateway"]
    versions.start_others()
    orders = [one for one in versions.said if isinstance(one, Route | Rest)]
    assert [(type(one), one.process.name) for one in orders[-2:]] == [(Route, "gateway.b"), (Rest, "gateway")]
    assert stuck.routed == (4, "")


def test_one_process_that_says_why_it_cannot_start_refuses_the_release(versions: Versions) -> None:
    publish(versions, "r2")
    process = Process("encoder.b", "replica", "encoder", "here", 1, "b")
    versions.play(versions.rollout.started(process, versions.now))
    versions.play(versions.rollout.did_not_start("encoder.b", 1, "no licence", versions.now))
    assert [one.reason for one in versions.ended] == ["encoder.b could not load it: no licence"]
    assert versions.rollout.codes == {""}


def test_two_silent_deaths_at_the_start_refuse_it_too(versions: Versions) -> None:
    publish(versions, "r2")
    for incarnation in (1, 2):
        process = Process("encoder.b", "replica", "encoder", "here", incarnation, "b")
        versions.play(versions.rollout.started(process, versions.now))
        versions.play(versions.rollout.gone("encoder.b", incarnation, versions.now))
    assert [one.reason for one in versions.ended] == ["2 processes died while they built it: encoder.b, encoder.b"]


def test_whoever_dies_of_the_current_release_refuses_nothing(versions: Versions) -> None:
    publish(versions, "r2")
    versions.play(versions.rollout.did_not_start("encoder", 1, "no memory", versions.now))
    assert versions.rollout.job is not None
    assert not versions.ended


def test_other_code_cannot_be_tried_at_the_side(versions: Versions) -> None:
    versions.play(versions.rollout.publish("r2", versions.now, Side("r2", 0.1)))
    assert versions.denied == ["it has other code, and a gateway runs one; publish it to all requests"]

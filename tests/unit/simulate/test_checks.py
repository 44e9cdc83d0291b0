"""The checks see each kind of wrong, and excuse what is nobody's fault."""

from __future__ import annotations

import pytest

from kapelle.core.rollout_messages import WHOLE, Ended, Outcome, Pointer, Process, Shape
from kapelle.simulate.checks import RECENT, YOUNG, Checks
from kapelle.simulate.processes import Simulated, SimulatedGateway
from kapelle.simulate.releases import Flaw, Release
from kapelle.simulate.world import Violation, World


class Scene:
    """Two replicas with a copy each and a gateway, all on r1 for long."""

    def __init__(self) -> None:
        self.world = World(1)
        shape = {"cluster": (5,)}
        flaws = {"r1": Flaw.NONE, "r2": Flaw.NONE, "bad": Flaw.LOAD}
        self.releases = {name: Release(name, Shape(name, shape), flaw, 0) for name, flaw in flaws.items()}
        self.processes: dict[str, Simulated] = {}
        self.checks = Checks(self.world, self.releases, {"cluster": 2}, frozenset(), self.processes)
        arguments = (self.releases, lambda _: None, lambda _: None)
        for name in ("a", "b"):
            self.processes[name] = Simulated(self.world, Process(name, "replica", "cluster", name, 1), *arguments)
        self.gateway = SimulatedGateway(self.world, Process("g", "gateway", "", "g", 1), *arguments)
        self.processes["g"] = self.gateway
        self.gateway.routed = (1, "r1")
        self.hold("r1")
        self.world.log.append(Pointer(1, "r1"))
        self.world.run(100.0)

    def hold(self, release: str) -> None:
        for process in self.processes.values():
            process.holds[release] = WHOLE

    def commit(self, release: str) -> None:
        self.checks.entry(Pointer(2, release, "r1"), self.world.head)


def test_all_is_well_at_rest() -> None:
    scene = Scene()
    scene.checks.coverage()
    assert scene.checks.unconverged() is None


def test_a_last_copy_that_was_dropped_is_a_violation() -> None:
    scene = Scene()
    del scene.processes["a"].holds["r1"]
    scene.checks.coverage()
    del scene.processes["b"].holds["r1"]
    with pytest.raises(Violation, match="nobody holds shard 0 of cluster in r1, which has traffic"):
        scene.checks.coverage()


def test_a_last_copy_that_was_killed_is_nobodys_fault() -> None:
    scene = Scene()
    for name in ("a", "b"):
        scene.processes[name].alive = False
        scene.checks.killed(scene.processes[name])
    scene.world.run(100.0 + 2 * RECENT)
    assert not scene.checks.can_answer(("r1", "cluster", 0))
    scene.processes["a"].alive = True
    assert scene.checks.can_answer(("r1", "cluster", 0))


def test_a_commit_without_all_copies_is_a_violation() -> None:
    scene = Scene()
    scene.hold("r2")
    scene.commit("r2")
    del scene.processes["b"].holds["r2"]
    with pytest.raises(Violation, match="r2 was committed with 1 of 2 copies"):
        scene.commit("r2")


def test_a_commit_without_a_gateway_is_a_violation_unless_it_is_young() -> None:
    scene = Scene()
    scene.hold("r2")
    del scene.gateway.holds["r2"]
    with pytest.raises(Violation, match="r2 was committed without g"):
        scene.commit("r2")
    scene.gateway.born_at = scene.world.now - YOUNG / 2
    scene.commit("r2")


def test_a_broken_release_in_the_log_is_a_violation() -> None:
    scene = Scene()
    scene.hold("bad")
    with pytest.raises(Violation, match="bad was committed though a shard does not load"):
        scene.commit("bad")


def test_a_claim_is_no_commit() -> None:
    scene = Scene()
    scene.processes["a"].holds.clear()
    scene.commit("r1")


@pytest.mark.parametrize("outcome", [Outcome.COMMITTED, Outcome.REFUSED])
def test_what_is_told_is_compared_with_the_log(outcome: Outcome) -> None:
    scene = Scene()
    if outcome is Outcome.REFUSED:
        scene.world.log.append(Pointer(2, "r2", author="me"))
    with pytest.raises(Violation, match=str(outcome)):
        scene.checks.ended(Ended("r2", outcome, "because"), "me", since=1)


def test_what_is_left_over_is_named() -> None:
    scene = Scene()
    scene.processes["a"].holds["r2"] = WHOLE
    assert scene.checks.unconverged() == "a holds {'r1': frozenset({0}), 'r2': frozenset({0})} and builds {}"
    del scene.processes["a"].holds["r2"]
    scene.gateway.routed = None
    assert scene.checks.unconverged() == "g is routed to None and None"


def test_a_gateway_that_dropped_a_pinned_release_is_a_violation() -> None:
    scene = Scene()
    scene.checks.gateway_has(scene.gateway, "r1")
    with pytest.raises(Violation, match="g dropped r2 under a request"):
        scene.checks.gateway_has(scene.gateway, "r2")

"""Processes of other code come when they are needed, and go in order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kapelle.core.rollout_messages import Pointer
from kapelle.simulate.band import Band
from kapelle.simulate.processes import SimulatedGateway
from kapelle.simulate.releases import draw
from kapelle.simulate.world import World


@pytest.fixture
def band() -> Band:
    world = World(3)
    world.stormy = False
    releases = {name: draw(world.random, name, sound=True) for name in ("r1", "r2")}
    releases["r2"] = replace(releases["r2"], shape=replace(releases["r2"].shape, code="b"))
    band = Band(world, releases, {"encoder": 1, "cluster": 1})
    for name, service in (("gateway-0", ""), ("encoder-0", "encoder"), ("cluster-0", "cluster")):
        band.start_process(name, service, "node-0")
        band.staff.plan.append((name, service, "node-0"))
    world.write(Pointer(1, "r1", author="somebody before"))
    for name, process in band.processes.items():
        sizes = releases["r1"].shape.services["cluster"]
        process.holds["r1"] = frozenset(range(len(sizes) if name == "cluster-0" else 1))
        process.fence.epoch = 1
        if isinstance(process, SimulatedGateway):
            process.routed = (1, "r1")
    return band


def codes(band: Band) -> set[str]:
    return {process.process.code for process in band.processes.values()}


def test_they_come_beside_the_old_ones_which_go_when_nothing_needs_them(band: Band) -> None:
    new: list[str] = []
    band.staff.on_gateway = new.append
    controller = band.start_controller()
    band.world.run(2.0)
    assert codes(band) == {""}
    controller.wish("r2")
    band.world.run(2.5)
    assert codes(band) == {"", "b"}
    assert new == ["gateway-0.b"]
    band.world.run(30.0)
    assert codes(band) == {"b"}
    assert band.checks.unconverged() is None


def test_a_gateway_goes_when_its_requests_have_ended_and_replicas_after_it(band: Band) -> None:
    controller = band.start_controller()
    band.world.run(2.0)
    old = band.processes["gateway-0"]
    old.busy["r1"] = 1
    controller.wish("r2")
    band.world.run(30.0)
    assert {"gateway-0", "encoder-0", "cluster-0"} <= band.processes.keys(), "somebody may call them yet"
    assert isinstance(old, SimulatedGateway)
    old.end("r1")
    band.staff.look_again()
    band.world.run(31.0)
    assert codes(band) == {"b"}

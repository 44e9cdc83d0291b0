"""The simulated system works when nothing goes wrong, and dies and comes back when told to."""

from __future__ import annotations

from kapelle.core.rollout_messages import Outcome, Pointer
from kapelle.simulate.band import Band
from kapelle.simulate.releases import Flaw, draw
from kapelle.simulate.world import World


def calm_band(flaw: Flaw = Flaw.NONE) -> Band:
    world = World(3)
    world.stormy = False
    releases = {name: draw(world.random, name, sound=True) for name in ("r1", "r2")}
    releases["r2"] = type(releases["r2"])("r2", releases["r2"].shape, flaw, 0)
    band = Band(world, releases, {"encoder": 1, "cluster": 2})
    for name, service in [("gateway-0", ""), ("encoder-0", "encoder"), ("cluster-0", "cluster")]:
        band.start_process(name, service, "here")
    world.write(Pointer(1, "r1", author="before"))
    band.start_controller()
    world.run(10.0)
    return band


def test_everybody_is_brought_to_the_pointer() -> None:
    assert calm_band().checks.unconverged() is None


def test_a_publish_goes_through() -> None:
    band = calm_band()
    band.controllers[0].wish("r2")
    band.world.run(30.0)
    assert [ended.outcome for ended in band.controllers[0].ended] == [Outcome.COMMITTED]
    assert band.world.head.release == "r2"
    assert band.checks.unconverged() is None


def test_a_worse_release_is_rolled_back() -> None:
    band = calm_band(Flaw.WORSE)
    band.controllers[0].wish("r2")
    band.world.run(30.0)
    assert [ended.outcome for ended in band.controllers[0].ended] == [Outcome.ROLLED_BACK]
    assert band.world.head.release == "r1"


def test_a_controller_dies_between_two_effects_and_another_takes_over() -> None:
    band = calm_band()
    first = band.controllers[0]
    first.effects_left = 2
    first.wish("r2")
    band.world.run(40.0)
    assert not first.alive
    assert [controller.rollout.author for controller in band.controllers] == ["controller-2"]
    assert band.checks.unconverged() is None


def test_a_killed_process_comes_back_as_another_incarnation() -> None:
    band = calm_band()
    band.kill(band.processes["cluster-0"], away=1.0)
    assert band.checks.unconverged() == "cluster-0 is dead"
    band.world.run(20.0)
    assert band.processes["cluster-0"].process.incarnation == 2
    assert band.checks.unconverged() is None


def test_a_replica_that_left_for_good_is_not_waited_for() -> None:
    band = calm_band()
    band.start_process("cluster-1", "cluster", "there")
    band.world.run(20.0)
    band.kill(band.processes["cluster-0"], for_good=True)
    band.world.run(40.0)
    assert "cluster-0" not in band.processes
    assert band.checks.unconverged() is None


def test_requests_are_counted_until_they_end() -> None:
    band = calm_band()
    (gateway,) = band.checks.gateways()
    band.request(gateway)
    assert gateway.busy == {"r1": 1}
    band.world.run(20.0)
    assert gateway.busy == {}

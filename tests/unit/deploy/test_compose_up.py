from __future__ import annotations

from pathlib import Path

import pytest

from kapelle.deploy.compose_up import Deployment, down
from kapelle.deploy.containers import Project
from kapelle.deploy.topology import Topology
from kapelle.errors import DeployError
from tests.unit.deploy.engine import Engine, Made
from tests.unit.deploy.systems import system_of

NAMES = ("door", "release", "controller", "encoder", "cluster", "gateway", "prometheus", "grafana")


def setups(version: str) -> dict[str, str]:
    return {name: version if name != "door" else "door" for name in NAMES}


def deployed(engine: Engine, system: Topology | None = None, *, observe: bool = False) -> list[str]:
    said: list[str] = []
    project = Project(engine, "search", Path())
    Deployment(project, system or system_of("question_search"), said.append, pause=lambda _: None).up(observe=observe)
    return said


def counts(engine: Engine) -> dict[str, int]:
    return {name: found for name in NAMES if (found := len(engine.of(name)))}


def test_starts_all_of_a_system_after_its_release() -> None:
    engine = Engine(setups("v1"))
    deployed(engine, observe=True)
    assert counts(engine) == {
        "door": 1,
        "release": 1,
        "controller": 1,
        "encoder": 2,
        "cluster": 2,
        "gateway": 1,
        "prometheus": 1,
        "grafana": 1,
    }
    assert engine.did[0] == "start release-1-v1"
    assert {one.state for one in engine.containers.values()} == {"running"}


def test_deploying_again_touches_nothing() -> None:
    engine = Engine(setups("v1"))
    deployed(engine)
    engine.did.clear()
    deployed(engine)
    assert engine.did == ["start release-1-v1", "start door-1-door"]  # both are there already


def test_new_code_runs_beside_the_old_before_that_drains() -> None:
    engine = Engine(setups("v1"))
    deployed(engine)
    engine.setups, engine.did = setups("v2"), []
    seen: list[int] = []
    engine.on_start = lambda made: seen.append(
        len([one for one in engine.of("encoder") if one.setup == "v1" and one.state == "running"])
    )
    deployed(engine)
    assert set(seen) == {2}, "an old replica was gone before the new ones were there"
    assert counts(engine) == {"door": 1, "release": 1, "controller": 1, "encoder": 2, "cluster": 2, "gateway": 1}
    assert {one.setup for one in engine.containers.values() if one.service != "door"} == {"v2"}
    stopped = [one.removeprefix("stop ") for one in engine.did if one.startswith("stop ")]
    # Two controllers never run at once; then gateways go before those that they ask.
    assert [one.partition("-")[0] for one in stopped] == [
        "controller",
        "gateway",
        "controller",
        "encoder",
        "encoder",
        "cluster",
        "cluster",
    ]
    assert "start door-1-door" in engine.did
    assert "rm door-1-door" not in engine.did


def test_scaling_down_drains_what_is_too_much() -> None:
    engine = Engine(setups("v1"))
    deployed(engine, system_of("question_search", scale={"Encoder": 4}))
    deployed(engine, system_of("question_search", scale={"Encoder": 1}))
    assert [one.number for one in engine.of("encoder")] == [1]


def test_a_first_deployment_that_fails_leaves_nothing() -> None:
    engine = Engine(setups("v1"), broken={"encoder v1"})
    with pytest.raises(
        DeployError,
        match=r"search-encoder-\d is not ready|search-encoder-\d ended with 0; its log ends with: ValueError",
    ):
        deployed(engine)
    assert engine.containers == {}
    assert engine.volumes == set()
    assert engine.did[-1] == "down with volumes"


def test_what_was_stored_before_outlives_a_deployment_that_fails() -> None:
    engine = Engine(setups("v1"), broken={"encoder v1"}, volumes={"search_store"})
    with pytest.raises(DeployError):
        deployed(engine)
    assert engine.did[-1] == "down"
    assert "search_store" in engine.volumes


def test_a_release_that_cannot_be_made_is_told() -> None:
    engine = Engine(setups("v1"), broken={"release"})
    with pytest.raises(
        DeployError, match=r"search-release-1 ended with 1; its log ends with: ValueError: no such model"
    ):
        deployed(engine)
    assert engine.containers == {}


def test_broken_code_leaves_the_old_as_it_was() -> None:
    engine = Engine(setups("v1"))
    deployed(engine)
    before = {one.id for one in engine.containers.values() if one.service != "release"}
    engine.setups = setups("v2")
    engine.broken = {"gateway v2"}
    with pytest.raises(DeployError, match="search-gateway-2"):
        deployed(engine)
    after = [one for one in engine.containers.values() if one.service != "release"]
    assert {one.id for one in after} == before
    assert {one.state for one in after} == {"running"}, "the old controller does not run again"


def test_services_that_are_no_more_are_removed() -> None:
    engine = Engine(setups("v1"))
    deployed(engine, observe=True)
    engine.containers["old"] = Made("old", "decoder", "v1", 1, "running", "healthy")
    deployed(engine)
    assert counts(engine).keys() == {"door", "release", "controller", "encoder", "cluster", "gateway"}
    assert "old" not in engine.containers


def test_a_door_of_another_version_is_replaced_and_that_is_told() -> None:
    engine = Engine(setups("v1"))
    deployed(engine)
    engine.setups = {**setups("v1"), "door": "door2"}
    assert "door was replaced: it is of another version of Kapelle" in deployed(engine)


def test_down_says_what_it_removed(tmp_path: Path) -> None:
    engine = Engine(setups("v1"))
    deployed(engine)
    project = Project(engine, "search", tmp_path)
    removed = down(project, volumes=True)
    assert "container search-encoder-1" in removed
    assert removed[-3:] == ["network search_peers", "volume search_cache", "volume search_store"]
    assert engine.volumes == set()


def test_down_keeps_volumes(tmp_path: Path) -> None:
    engine = Engine(setups("v1"))
    deployed(engine)
    (tmp_path / "compose.yaml").write_text("")
    assert not [one for one in down(Project(engine, "search", tmp_path), volumes=False) if one.startswith("volume")]
    assert engine.volumes

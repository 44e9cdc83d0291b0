from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kapelle.deploy.containers import Container, Project, change
from tests.unit.deploy.engine import Engine, Made


def container(
    number: int, setup: str = "new", state: str = "running", health: str = "healthy", restarts: int = 0
) -> Container:
    return Container(f"id{number}", f"encoder-{number}", "encoder", setup, number, state, health, restarts, 0)


containers = st.lists(
    st.builds(container, st.integers(1, 99), st.sampled_from(["old", "new"]), st.sampled_from(["running", "exited"])),
    unique_by=lambda one: one.number, max_size=8,
)  # fmt: skip


@given(containers, st.integers(1, 6))
def test_a_change_ends_with_as_many_as_are_wanted(found: list[Container], count: int) -> None:
    way = change(found, "new", count)
    assert len(way.keep) + way.missing == count
    assert {*way.keep, *way.old} == {*found}
    assert not {*way.keep} & {*way.old}
    assert all(one.setup == "new" and one.ready for one in way.keep)
    assert way.total == len(found) + way.missing


@given(containers, st.integers(1, 6))
def test_nothing_is_made_that_is_there(found: list[Container], count: int) -> None:
    way = change(found, "new", count)
    fitting = [one for one in found if one.setup == "new" and one.ready]
    assert way.missing == max(0, count - len(fitting))


@pytest.mark.parametrize(
    ("one", "ready", "failed"),
    [
        (container(1), True, False),
        (container(1, health=""), True, False),
        (container(1, health="starting"), False, False),
        (container(1, health="unhealthy"), False, True),
        (container(1, state="exited"), False, True),
        (container(1, state="restarting", health="starting", restarts=1), False, False),
        (container(1, state="restarting", health="starting", restarts=3), False, True),
    ],
)
def test_knows_what_is_ready_and_what_has_failed(one: Container, ready: bool, failed: bool) -> None:
    assert (one.ready, one.failed) == (ready, failed)


def test_reads_what_docker_tells(tmp_path: Path) -> None:
    engine = Engine({"encoder": "new"}, containers={"a": Made("a", "encoder", "new", 2, "running", "healthy", 1, 0)})
    project = Project(engine, "search", tmp_path / "nowhere")
    assert project.containers() == [Container("a", "search-encoder-2", "encoder", "new", 2, "running", "healthy", 1, 0)]
    assert project.containers("cluster") == []
    assert project.setups() == {"encoder": "new"}
    assert project.networks() == ["search_peers"]


def test_says_why_a_container_failed(tmp_path: Path) -> None:
    project = Project(Engine({}), "search", tmp_path)
    assert (
        project.why(container(1, state="exited")).detail
        == "encoder-1 ended with 0; its log ends with: ValueError: no such model"
    )
    assert "encoder-1 is not ready" in project.why(container(1, health="unhealthy")).detail


def test_nothing_is_done_to_nothing(tmp_path: Path) -> None:
    engine = Engine({})
    project = Project(engine, "search", tmp_path)
    project.start([])
    project.halt([])
    project.remove([])
    assert engine.did == []

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kapelle.deploy.swarm_up import Stack, check_machines, up
from kapelle.errors import DeployError
from tests.unit.deploy.engine import Answering
from tests.unit.deploy.systems import system_of

SYSTEM = system_of("question_search", store="s3://a/b", start_timeout=10)


def answers(counts: dict[str, str], updates: dict[str, dict[str, str]] | None = None, **more: str) -> dict[str, str]:
    about: list[dict[str, Any]] = [
        {"Spec": {"Name": name}, **({"UpdateStatus": updates[name]} if updates and name in updates else {})}
        for name in counts
    ]
    return {
        "service ls --quiet": "\n".join(counts),
        "service ls": "\n".join(json.dumps({"Name": name, "Replicas": count}) for name, count in counts.items()),
        "service inspect": json.dumps(about),
        **{name.replace("_", " "): answer for name, answer in more.items()},
    }


class Swarm(Answering):
    """A swarm that has nothing until a stack is deployed."""

    def __init__(self, answers: dict[str, str], *, empty: bool = True) -> None:
        super().__init__(answers)
        self.empty = empty

    def run(self, *arguments: str, folder: Path | None = None, timeout: float = 0.0) -> str:
        found = super().run(*arguments, folder=folder, timeout=timeout)
        if arguments[:2] == ("stack", "deploy"):
            self.empty = False
        if arguments[:2] == ("stack", "rm"):
            self.empty = True
        return "" if self.empty and arguments[:2] == ("service", "ls") else found


def deployed(docker: Answering, *, from_registry: bool = False) -> list[str]:
    said: list[str] = []
    up(Stack(docker, "search", Path()), SYSTEM, said.append, from_registry=from_registry, pause=lambda _: None)
    return said


READY = {"search_encoder": "2/2", "search_cluster": "2/2 (max 1 per node)", "search_release": "0/1 (1/1 completed)"}


def test_waits_until_all_of_it_serves() -> None:
    swarm = Swarm(answers(READY))
    assert deployed(swarm) == ["starting", "encoder: ready", "cluster: ready", "release: ready"]
    [line] = [one for one in swarm.asked if one.startswith("stack deploy")]
    assert "--resolve-image never" in line
    assert line.endswith("-c stack.yaml -c versions.yaml search")


def test_images_of_a_registry_are_looked_up_there() -> None:
    swarm = Swarm(answers(READY))
    deployed(swarm, from_registry=True)
    assert any("--resolve-image always" in one for one in swarm.asked)


def test_a_first_deployment_that_fails_leaves_nothing() -> None:
    tasks = "\n".join(
        json.dumps({"CurrentState": "Failed 3 seconds ago", "Error": "task: non-zero exit (1)"}) for _ in range(3)
    )
    swarm = Swarm(answers({"search_encoder": "0/2"}, service_ps=tasks, service_logs="ValueError: no such model"))
    with pytest.raises(
        DeployError,
        match=r"search_encoder fails: task: non-zero exit \(1\); its log ends with: ValueError: no such model",
    ):
        deployed(swarm)
    assert any(one.startswith("stack rm") for one in swarm.asked)


def test_an_update_that_went_back_is_an_error() -> None:
    rolled = {"search_encoder": {"State": "rollback_completed", "Message": "rollback completed"}}
    swarm = Swarm(answers({"search_encoder": "2/2"}, rolled, service_logs="ImportError"), empty=False)
    with pytest.raises(DeployError, match=r"the update of search_encoder was not kept .*what ran before serves on"):
        deployed(swarm)
    assert not any(one.startswith("stack rm") for one in swarm.asked)


def test_what_never_gets_a_machine_is_told() -> None:
    task = json.dumps({"CurrentState": "Pending 1 minute ago", "Error": "no suitable node (insufficient resources)"})
    swarm = Swarm(answers({"search_encoder": "0/2"}, service_ps=task, service_logs="fails:no logs"))
    with pytest.raises(DeployError, match=r"search_encoder is not ready after .* s: no suitable node"):
        deployed(swarm)


def test_each_copy_needs_a_machine() -> None:
    node = json.dumps({"Status": "Ready", "Availability": "Active"})
    gone = json.dumps({"Status": "Down", "Availability": "Active"})
    check_machines(Answering({"node ls": f"{node}\n{node}"}), SYSTEM)
    with pytest.raises(DeployError, match=r"cluster has 2 copies.*the swarm has 1 that are ready; .*--scale cluster=1"):
        check_machines(Answering({"node ls": f"{node}\n{gone}"}), SYSTEM)


def test_removing_tells_what_there_was() -> None:
    swarm = Swarm(answers(READY, volume_ls="search_cache\n"), empty=False)
    stack = Stack(swarm, "search", Path())
    assert stack.remove() == ["service search_encoder", "service search_cluster", "service search_release"]
    assert stack.remove_volumes() == ["search_cache"]
    assert "volume rm search_cache" in swarm.asked


def test_what_does_not_go_is_named() -> None:
    swarm = Swarm({**answers(READY), "ps --all": "search_encoder.1.abc"}, empty=False)
    with pytest.raises(DeployError, match=r"not gone after 300 s: search_encoder\.1\.abc is still there"):
        Stack(swarm, "search", Path()).remove(pause=lambda _: None)

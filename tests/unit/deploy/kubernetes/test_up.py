from __future__ import annotations

from pathlib import Path

import pytest

from kapelle.deploy.kubernetes.up import Cluster, up
from kapelle.errors import DeployError
from tests.unit.deploy.engine import Answering
from tests.unit.deploy.systems import system_of

SYSTEM = system_of("question_search")
FAILED = "fails:error: timed out waiting for the condition"


def deployed(kubectl: Answering) -> list[str]:
    said: list[str] = []
    up(Cluster(kubectl, "question-search"), SYSTEM, Path("k8s"), said.append)
    return said


def test_waits_for_each_part() -> None:
    kubectl = Answering({"get namespace": "fails:NotFound"})
    assert deployed(kubectl) == ["starting", "controller: ready", "encoder: ready", "cluster: ready", "gateway: ready"]
    assert "apply -k k8s" in kubectl.asked
    assert any("rollout status statefulset/cluster" in one for one in kubectl.asked)


def test_a_first_deployment_that_fails_leaves_nothing() -> None:
    answers = {
        "get namespace": "fails:NotFound",
        "--namespace question-search rollout status deployment/encoder": FAILED,
        "--namespace question-search logs": "ValueError: no such model",
    }
    kubectl = Answering(answers)
    with pytest.raises(
        DeployError,
        match=r"deployment/encoder does not become ready: .*timed out.*its log ends with: ValueError: no such model",
    ):
        deployed(kubectl)
    assert kubectl.asked[-1] == "delete namespace question-search --ignore-not-found"


def test_an_update_that_fails_goes_back() -> None:
    answers = {
        "--namespace question-search rollout status deployment/encoder": FAILED,
        "--namespace question-search logs": "fails:no pods",
        "--namespace question-search get pods": "encoder-1 0/1 ImagePullBackOff",
    }
    kubectl = Answering(answers)
    with pytest.raises(DeployError, match=r"ImagePullBackOff"):
        deployed(kubectl)
    assert [one for one in kubectl.asked if "undo" in one] == [
        f"--namespace question-search rollout undo deployment/{name}" for name in ("controller", "encoder")
    ]


def test_removing_keeps_what_is_stored() -> None:
    kubectl = Answering(
        {"--namespace question-search delete": 'deployment.apps "encoder" deleted\nservice "encoder" deleted from x\n'}
    )
    assert Cluster(kubectl, "question-search").remove(volumes=False) == ["deployment.apps encoder", "service encoder"]
    assert "persistentvolumeclaim" not in kubectl.asked[0]
    assert "secret" not in kubectl.asked[0]
    Cluster(kubectl, "question-search").remove(volumes=True)
    assert kubectl.asked[1] == "delete namespace question-search --ignore-not-found"

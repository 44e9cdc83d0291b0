from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from kapelle.deploy.kubernetes.up import Cluster, up
from kapelle.errors import DeployError
from tests.unit.deploy.engine import Answering
from tests.unit.deploy.kubernetes.objects import Item, claim, deployment, job, pod, stateful_set
from tests.unit.deploy.systems import TAG, system_of

SYSTEM = system_of("question_search")
HERE = "--namespace question-search "
RELEASE = f"release-{TAG}"
SERVING = [
    job(RELEASE, "Complete"),
    deployment("controller"),
    deployment("encoder", ready=2, wanted=2),
    stateful_set("cluster"),
    deployment("gateway"),
]


class Kubectl(Answering):
    """A cluster that is in one state after the other, at each look; in the last one it stays."""

    def __init__(self, answers: dict[str, str], *states: Sequence[Item]) -> None:
        super().__init__(answers)
        self.states = [*states]
        self.silent = 0
        """Looks in the last state that get no answer."""

    def run(self, *arguments: str, folder: Path | None = None, timeout: float = 0.0) -> str:
        found = super().run(*arguments, folder=folder, timeout=timeout)
        if self.asked[-1].startswith(f"{HERE}get deployment,"):
            if self.silent and len(self.states) == 1:
                self.silent -= 1
                raise DeployError("connection refused")
            return json.dumps({"items": self.states.pop(0) if len(self.states) > 1 else self.states[0]})
        return found

    @property
    def done(self) -> list[str]:
        """What was asked for that changes something, in the system's namespace or at its beginning."""
        changing = ("apply", "delete", f"{HERE}delete", f"{HERE}rollout")
        return [one.removeprefix(HERE) for one in self.asked if one.startswith(changing)]


def nothing_there(*states: Sequence[Item], **answers: str) -> Kubectl:
    return Kubectl({"get namespace": "fails:NotFound", **answers}, [], *states)


def deployed(kubectl: Kubectl) -> tuple[list[str], float]:
    """What is said, and for how many seconds it waited."""
    said: list[str] = []
    pauses: list[float] = []
    up(Cluster(kubectl, "question-search"), SYSTEM, Path("k8s"), said.append, pauses.append)
    return said, sum(pauses)


def failure(kubectl: Kubectl) -> str:
    with pytest.raises(DeployError) as caught:
        deployed(kubectl)
    return caught.value.detail


def test_waits_for_each_part() -> None:
    loading = [*SERVING[:2], deployment("encoder", ready=1, wanted=2), *SERVING[3:]]
    kubectl = nothing_there([job(RELEASE)], loading, SERVING)
    said, seconds = deployed(kubectl)
    assert said == [
        "starting",
        "release: there",
        "controller: ready",
        "encoder: ready",
        "cluster: ready",
        "gateway: ready",
    ]
    assert seconds > 0
    assert kubectl.done == ["apply -k k8s"]


def test_what_it_waits_for_is_told_once() -> None:
    pulling = [job(RELEASE), pod("release", waiting="ErrImagePull", says="not found")]
    said, _ = deployed(nothing_there(pulling, pulling, SERVING))
    assert said[:3] == ["starting", "release: ErrImagePull: not found", "release: there"]


def test_what_is_not_waited_for_is_told_too() -> None:
    said, _ = deployed(nothing_there([*SERVING, pod("grafana", waiting="ErrImagePull", says="no such host")]))
    assert said[-1] == "grafana: ErrImagePull: no such host"


def test_a_release_may_take_its_time() -> None:
    building = [job(RELEASE), pod("release")]
    _, seconds = deployed(nothing_there(*[building] * 1000, SERVING))
    assert seconds > SYSTEM.patience + SYSTEM.grace


def test_a_release_that_cannot_be_built_ends_it() -> None:
    failed = [job(RELEASE, "Failed"), pod("release")]
    said = failure(nothing_there(failed, **{f"{HERE}logs release-1": "ValueError: no such file"}))
    assert said == f"job/{RELEASE} fails: the log of release-1 ends with: ValueError: no such file"


def test_a_first_deployment_that_fails_leaves_nothing() -> None:
    crashing = [*SERVING[:2], pod("encoder", waiting="CrashLoopBackOff", says="back-off 20s", again=2)]
    kubectl = nothing_there(crashing, **{f"{HERE}logs encoder-1": "ValueError: no such model"})
    assert failure(kubectl) == (
        "deployment/encoder does not become ready: CrashLoopBackOff: back-off 20s; "
        "the log of encoder-1 ends with: ValueError: no such model"
    )
    assert kubectl.done == ["apply -k k8s", "delete namespace question-search --ignore-not-found"]


def test_what_the_cluster_does_not_take_leaves_nothing() -> None:
    kubectl = nothing_there([], **{"apply -k": "fails:quota"})
    assert failure(kubectl) == "quota"
    assert kubectl.done[-1] == "delete namespace question-search --ignore-not-found"


def test_nothing_happens_for_too_long() -> None:
    said = failure(nothing_there([*SERVING[:2], deployment("encoder", ready=0)]))
    assert said == "deployment/encoder does not become ready: nothing has changed for too long"


def test_a_cluster_may_be_silent_for_a_minute() -> None:
    kubectl = nothing_there(SERVING)
    kubectl.silent = 20
    assert deployed(kubectl)[0][-1] == "gateway: ready"
    kubectl = nothing_there(SERVING)
    kubectl.silent = 1000
    assert failure(kubectl) == "connection refused"
    assert kubectl.done[-1] == "delete namespace question-search --ignore-not-found"


def test_what_went_wrong_first_is_told() -> None:
    crashing = [*SERVING[:2], pod("encoder", waiting="CrashLoopBackOff", says="back-off 20s", again=2)]
    assert "back-off 20s" in failure(nothing_there(crashing, **{"delete namespace": "fails:connection refused"}))


def test_a_cluster_without_volumes() -> None:
    waits = [claim("store", "Pending"), job(RELEASE), pod("release", unscheduled="unbound PersistentVolumeClaims")]
    event = json.dumps({"items": [{"message": "no storage class is set"}]})
    said = failure(nothing_there(waits, **{f"{HERE}get events": event}))
    assert "store: no storage class is set" in said
    assert "ReadWriteMany" in said
    assert "--store s3://" in said


def test_an_update_that_fails_goes_back_where_something_has_changed() -> None:
    changed = [
        *SERVING[:2],
        deployment("encoder", ready=0, wanted=2, revision=2),
        stateful_set("cluster", revision="two"),
        SERVING[4],
        job("release-new", "Complete"),
        pod("encoder", "2", waiting="CrashLoopBackOff", again=2),
    ]
    kubectl = Kubectl({}, SERVING, changed)
    assert "CrashLoopBackOff" in failure(kubectl)
    assert kubectl.done == [
        "apply -k k8s --dry-run=server",
        "apply -k k8s",
        "rollout undo deployment/encoder",
        "rollout undo statefulset/cluster",
        "delete job/release-new --ignore-not-found",
    ]


def test_an_update_that_the_cluster_refuses_changes_nothing() -> None:
    kubectl = Kubectl({"apply -k k8s --dry-run": "fails:spec.replicas: invalid"}, SERVING)
    assert failure(kubectl) == "spec.replicas: invalid"
    assert kubectl.done == ["apply -k k8s --dry-run=server"]


def test_pods_of_before_are_not_what_keeps_an_update() -> None:
    old = pod("encoder", "1", waiting="CrashLoopBackOff", again=9)
    said, _ = deployed(Kubectl({}, [*SERVING, old], [*SERVING[:2], old], [*SERVING, old]))
    assert said[0] == "updating, one pod at a time"
    assert "encoder: ready" in said


def test_removing_keeps_what_is_stored() -> None:
    kubectl = Kubectl({f"{HERE}delete": 'deployment.apps "encoder" deleted\nservice "encoder" deleted from x\n'}, [])
    assert Cluster(kubectl, "question-search").remove(volumes=False) == ["deployment.apps encoder", "service encoder"]
    assert "persistentvolumeclaim" not in kubectl.asked[0]
    assert "secret" not in kubectl.asked[0]
    Cluster(kubectl, "question-search").remove(volumes=True)
    assert kubectl.asked[1] == "delete namespace question-search --ignore-not-found"

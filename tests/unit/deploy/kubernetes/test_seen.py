from __future__ import annotations

import pytest

from kapelle.deploy.kubernetes.seen import Seen
from tests.unit.deploy.kubernetes.objects import Item, claim, deployment, job, pod, stateful_set


@pytest.mark.parametrize(
    ("item", "workload", "done"),
    [
        (deployment("encoder"), "deployment/encoder", True),
        (deployment("encoder", ready=1, wanted=2), "deployment/encoder", False),
        (deployment("encoder", observed=0), "deployment/encoder", False),
        (deployment("encoder"), "deployment/other", False),
        (stateful_set("cluster"), "statefulset/cluster", True),
        (stateful_set("cluster", ready=1), "statefulset/cluster", False),
        (stateful_set("cluster", revision="two"), "statefulset/cluster", False),
        (job("release-1"), "job/release-1", False),
        (job("release-1", "Complete"), "job/release-1", True),
        (job("release-1", "Failed"), "job/release-1", False),
    ],
)
def test_a_workload_is_done_when_all_of_it_is_new_and_ready(item: Item, workload: str, done: bool) -> None:
    assert Seen([item]).is_done(workload) is done


def test_a_job_can_have_failed() -> None:
    seen = Seen([job("release-1", "Failed"), job("release-2", "Complete")])
    assert seen.has_failed("job/release-1")
    assert not seen.has_failed("job/release-2")
    assert not seen.has_failed("job/release-3")


def test_the_troubles_of_new_pods_are_told() -> None:
    seen = Seen([
        pod("encoder", "1", waiting="ImagePullBackOff", says="no such image"),
        pod("encoder", "2", waiting="CrashLoopBackOff"),
        pod("encoder", "3", waiting="ContainerCreating"),
        pod("encoder", "4", unscheduled="0/3 nodes are available"),
        pod("gateway", "5", waiting="ImagePullBackOff", says="of another part"),
    ])  # fmt: skip
    assert seen.troubles("encoder", {"2"}) == ["ImagePullBackOff: no such image", "0/3 nodes are available"]
    assert seen.newest("encoder", {"4"}) == "encoder-3"
    assert seen.newest("encoder", {"1", "2", "3", "4"}) == ""


def test_a_pod_that_ends_again_and_again_is_hopeless() -> None:
    assert not Seen([pod("encoder", waiting="CrashLoopBackOff", again=1)]).is_hopeless("encoder", ())
    assert not Seen([pod("encoder", waiting="ImagePullBackOff", again=5)]).is_hopeless("encoder", ())
    seen = Seen([pod("encoder", waiting="CrashLoopBackOff", again=2)])
    assert seen.is_hopeless("encoder", ())
    assert not seen.is_hopeless("encoder", {"1"})
    assert Seen([pod("encoder", waiting="InvalidImageName")]).is_hopeless("encoder", ())


def test_claims_without_a_volume() -> None:
    assert Seen([claim("store", "Pending"), claim("cache-0", "Bound")]).pending_claims == ["store"]


def test_a_revision_is_that_of_the_template() -> None:
    seen = Seen(
        [deployment("encoder", revision=3), stateful_set("cluster", revision="two"), job("release-1"), pod("x")]
    )
    assert seen.workloads == ["deployment/encoder", "statefulset/cluster", "job/release-1"]
    assert [seen.revision(one) for one in seen.workloads] == ["3", "two", ""]

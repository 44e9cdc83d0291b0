"""A system on Kubernetes: started, scaled, published to, robbed of pods, updated, and gone, while clients ask at every node.

Only where ``KUBECONFIG`` leads to a cluster; ``tests/containers/cluster.py`` says what that has to have. What is counted is
printed: ``pytest -s`` shows it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.cluster import Cluster
from tests.containers.docker import Docker, DockerFailed
from tests.containers.doors import clients, tell

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not os.environ.get("KUBECONFIG") or shutil.which("kubectl") is None,
        reason="KUBECONFIG does not lead to a cluster, or there is no kubectl",
    ),
]

APP = Path(__file__).with_name("bookcase")
BROKEN = 'import os\n\nif "KAPELLE_NODE" in os.environ:\n    raise RuntimeError("out of ink")'
"""In place of a line of the app: it can be looked at where images are built, and does not start where it is to serve."""


@pytest.fixture(scope="module")
def cluster(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The app, deployed; taken away at the end, if no test did."""
    system = Cluster(docker, tmp_path_factory.mktemp("people"), APP)
    assert not system.exists(), f"the cluster has a namespace {system.name} already; these tests would remove it"
    system.write()
    try:
        outcome = system.up()
        assert outcome.status == 0, outcome.last_lines
        yield system
    finally:
        system.down()


def test_copies_are_on_different_nodes(cluster: Cluster) -> None:
    found = cluster.status()
    tell(", ".join(f"{one.name} on {one.node} {one.shards if one.service == 'Page' else ''}" for one in found))
    assert all(one.phase == "serving" for one in found)
    for shard in range(3):
        holders = [one.node for one in found if one.service == "Page" and shard in one.shards]
        assert len(set(holders)) == min(2, len(cluster.doors()))


async def test_a_plain_service_a_sharded_one_and_gateways_are_scaled(cluster: Cluster) -> None:
    async with clients(cluster.doors()) as asking:
        for reader, page, gateway in ((3, 3, 3), (1, 2, 1), (2, 2, 2)):
            await asyncio.to_thread(cluster.scale, "deployment/reader", reader)
            await asyncio.to_thread(cluster.scale, "statefulset/page", page)
            await asyncio.to_thread(cluster.scale, "deployment/gateway", gateway)
            await asking.more(20)
    asking.count("scaled 2 → 3 → 1 → 2")


@pytest.mark.parametrize("part", ["reader", "page", "controller"])
async def test_a_killed_pod_costs_no_request(cluster: Cluster, part: str) -> None:
    pod = cluster.pods(part)[0]["metadata"]["name"]
    async with clients(cluster.doors()) as asking:
        await asyncio.to_thread(cluster.kubectl, "delete", "pod", pod, "--force", "--grace-period=0")
        workload = "statefulset/page" if part == "page" else f"deployment/{part}"
        await asyncio.to_thread(cluster.kubectl, "rollout", "status", workload)
        await asking.more(20)
    asking.count(f"{part} killed")


async def test_a_replica_with_another_secret_takes_nobodys_place(cluster: Cluster) -> None:
    cluster.kubectl("create", "secret", "generic", "another", "--from-literal=kapelle=known-to-nobody-else")
    async with clients(cluster.doors()) as asking:
        await asyncio.to_thread(cluster.give_secret, "deployment/reader", "another")
        with pytest.raises(DockerFailed, match="timed out"):
            await asyncio.to_thread(cluster.kubectl, "rollout", "status", "deployment/reader", "--timeout=30s")
        logs = cluster.kubectl("logs", "--selector", "app.kubernetes.io/name=reader", "--tail=-1")
        assert "the secret does not match" in logs
        cluster.kubectl("rollout", "undo", "deployment/reader")
        await asyncio.to_thread(cluster.kubectl, "rollout", "status", "deployment/reader")
    asking.count("another secret")


async def test_a_release_is_published_with_no_failed_request(cluster: Cluster) -> None:
    async with clients(cluster.doors()) as asking:
        await cluster.build_release("release-two", "--edition", "two")
        await cluster.publish("r2")
        await asking.until(lambda: asking.all_see("first", "two"))
    asking.count("published")


async def test_new_code_comes_with_no_failed_request(cluster: Cluster) -> None:
    cluster.edit('CODE = "first"', 'CODE = "second"')
    async with clients(cluster.doors()) as asking:
        outcome = await asyncio.to_thread(cluster.up)
        assert outcome.status == 0, outcome.last_lines
        await asking.until(lambda: asking.all_see("second", "two"))
    asking.count("code updated")


async def test_broken_code_goes_back(cluster: Cluster) -> None:
    cluster.edit('CODE = "second"', BROKEN)
    async with clients(cluster.doors()) as asking:
        outcome = await asyncio.to_thread(cluster.up)
        await asking.more(20)
        assert asking.all_see("second", "two")
    asking.count("broken code")
    assert outcome.status == 1
    assert "out of ink" in outcome.last_lines
    assert "going back to what ran before" in outcome.last_lines


def test_nothing_stays_of_it(cluster: Cluster) -> None:
    outcome = cluster.down()
    assert outcome.status == 0, outcome.last_lines
    assert not cluster.exists()

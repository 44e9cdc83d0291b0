from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

import kapelle
from kapelle.config.settings import Settings
from kapelle.control import plan as module
from kapelle.control.plan import Plan, Stock, cores, make_plan, memory_environment, thread_environment
from kapelle.declare.apps import app_spec
from kapelle.errors import ArtifactError, DeclarationError

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@kapelle.service(replicas=3)
class Echo:
    @kapelle.method
    def same(self, x: int) -> int:
        return x


@kapelle.service(artifact="model")
class Encoder:
    def __init__(self, artifact: Path) -> None: ...

    @kapelle.method
    def encode(self, x: int) -> int:
        return x


@kapelle.service(sharded_by="index", copies=2)
class Cluster:
    def __init__(self, shard: Path) -> None: ...

    @kapelle.method
    def size(self) -> int:
        return 0


@kapelle.service(inline=True)
class Merger:
    @kapelle.method
    def merge(self, x: int) -> int:
        return x


@kapelle.app(artifact="questions")
class Orchestra:
    echo: Echo
    encoder: Encoder
    cluster: kapelle.Sharded[Cluster]
    merger: Merger

    def __init__(self, artifact: Path) -> None: ...

    @kapelle.get("/same")
    async def same(self, x: int) -> int:
        return await self.echo.same(x)


@kapelle.service
class gateway:  # noqa: N801 - the name is the subject
    @kapelle.method
    def same(self, x: int) -> int:
        return x


@kapelle.app
class Confusing:
    inner: gateway

    @kapelle.get("/same")
    async def same(self, x: int) -> int:
        return await self.inner.same(x)


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    for name in ("model", "questions", *(f"index/shards/{number:03}" for number in range(3))):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


@pytest.fixture(autouse=True)
def _four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cores", lambda: 4)


def planned(artifacts: Path, cls: type = Orchestra, **settings: Any) -> Plan:
    app = app_spec(cls)
    assert app is not None
    return make_plan("app.py", app, msgspec.convert(settings, Settings), Stock(artifacts))


def test_each_replica_has_its_shards(artifacts: Path) -> None:
    plan = planned(artifacts, shard_processes=2)
    assert {one.name: one.shards for one in plan.replicas} == {
        "Echo-0": (0,),
        "Echo-1": (0,),
        "Echo-2": (0,),
        "Encoder-0": (0,),
        "Cluster-0": (0, 2),
        "Cluster-1": (1,),
        "Cluster-2": (0, 2),
        "Cluster-3": (1,),
    }
    assert plan.shard_counts == {"Cluster": 3}
    assert {one.service.name for one in plan.replicas} == {"Echo", "Encoder", "Cluster"}, (
        "an inline service has no process"
    )


def test_there_are_as_many_gateways_as_asked_for(artifacts: Path) -> None:
    assert planned(artifacts).gateways == ("gateway-0",)
    assert planned(artifacts, gateways=3).gateways == ("gateway-0", "gateway-1", "gateway-2")


def test_cores_decide_how_many_processes_hold_a_copy(artifacts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def names() -> list[str]:
        return [one.name for one in planned(artifacts).replicas if one.service.name == "Cluster"]

    assert len(names()) == 6, "one process per shard and copy"
    monkeypatch.setattr(module, "cores", lambda: 1)
    assert len(names()) == 2, "one process per copy"


def test_it_is_described_to_people(artifacts: Path) -> None:
    assert planned(artifacts, gateways=2, shard_processes=2).describe() == [
        "2 gateways of Orchestra",
        "Echo: 3 replicas",
        "Encoder: 1 replica",
        "Cluster: 3 shards in 2 copies, 2 processes per copy (this machine has 4 cores)",
        "Merger: inline, in the gateway",
    ]


def test_one_is_not_many(artifacts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cores", lambda: 1)
    lines = planned(artifacts).describe()
    assert lines[0] == "1 gateway of Orchestra"
    assert "Cluster: 3 shards in 2 copies, 1 process per copy (this machine has 1 core)" in lines


@pytest.mark.parametrize("missing", ["model", "questions", "index"])
def test_an_artifact_that_is_missing_is_named(artifacts: Path, missing: str) -> None:
    (artifacts / missing).rename(artifacts / "elsewhere")
    with pytest.raises(ArtifactError, match=f"no artifact '{missing}'"):
        planned(artifacts)


def test_an_artifact_without_its_shards_is_refused(artifacts: Path) -> None:
    (artifacts / "index" / "shards" / "001").rmdir()
    with pytest.raises(ArtifactError, match=r"'index'.*0, 2"):
        planned(artifacts)


def test_no_service_has_the_name_of_the_gateways(artifacts: Path) -> None:
    with pytest.raises(DeclarationError, match=r"'gateway'.*the gateways' names"):
        planned(artifacts, Confusing)


@pytest.mark.parametrize(("processes", "threads"), [(0, "4"), (1, "4"), (3, "1"), (2, "2"), (9, "1")])
def test_the_cores_are_shared(monkeypatch: pytest.MonkeyPatch, processes: int, threads: str) -> None:
    for name in (*THREADS, "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    assert thread_environment(processes) == {**dict.fromkeys(THREADS, threads), "OMP_WAIT_POLICY": "PASSIVE"}


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    assert "MKL_NUM_THREADS" not in thread_environment(1)
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "0")
    assert memory_environment() == {"MALLOC_MMAP_THRESHOLD_": "33554432"}


@pytest.mark.skipif(sys.platform != "linux", reason="counts the page faults of glibc's malloc")
def test_large_bodies_one_after_the_other_use_the_same_memory() -> None:
    program = """
import resource
def body(): return len(bytearray(600_000) + bytes(400_000))
for _ in range(5): body()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(200): body()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 200)
"""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    ran = subprocess.run(
        [sys.executable, "-c", program], env=bare | memory_environment(), capture_output=True, text=True, check=True
    )
    assert int(ran.stdout) < 50, "page faults of a body"


def test_only_the_cores_that_may_be_used_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {1, 5, 6}, raising=False)
    assert cores() == 3
    monkeypatch.delattr("os.sched_getaffinity")
    monkeypatch.setattr("os.cpu_count", lambda: 12)
    assert cores() == 12
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert cores() == 1, "not even the system knows"

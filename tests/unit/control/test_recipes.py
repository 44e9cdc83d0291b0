from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from kapelle.config.orders import LOCAL, Holding, decode_gateway, decode_worker
from kapelle.config.settings import Settings
from kapelle.control.plan import Plan, Stock, make_plan
from kapelle.control.recipes import Recipe, recipes
from kapelle.control.rundir import Record, RunDir
from kapelle.declare.apps import app_spec
from tests.docs.documents import forget_modules

APP = """
import kapelle

@kapelle.service(replicas=2, memory_limit="1GB")
class Echo:
    @kapelle.method
    def same(self, x: int) -> int:
        return x

@kapelle.service(sharded_by="index", copies=1)
class Cluster:
    @kapelle.method
    def size(self) -> int:
        return 0

@kapelle.app(artifact="index")
class App:
    echo: Echo
    cluster: kapelle.Sharded[Cluster]

    @kapelle.get("/same")
    async def same(self) -> int:
        return await self.echo.same(1)
"""


@pytest.fixture(autouse=True)
def _clean_imports(tmp_path: Path) -> Iterator[None]:
    yield
    forget_modules(tmp_path)


def load(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"recipes_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def plan(tmp_path: Path, code: str = APP, shards: int = 3, **settings: Any) -> Plan:
    (tmp_path / "app.py").write_text(code)
    for number in range(shards):
        (tmp_path / "artifacts" / "index" / "shards" / f"{number:03}").mkdir(parents=True, exist_ok=True)
    app = app_spec(load(tmp_path / "app.py").App)
    assert app is not None
    made = msgspec.convert({"shard_processes": 2, "gateways": 2, **settings}, Settings)
    return make_plan("app.py", app, made, Stock(tmp_path / "artifacts"))


def made(tmp_path: Path, code: str = APP, **settings: Any) -> dict[str, Recipe]:
    found = recipes(plan(tmp_path, code, **settings), RunDir(tmp_path / "run"))
    return {one.slot: one for one in found}


def test_there_is_one_for_each_process(tmp_path: Path) -> None:
    found = made(tmp_path)
    assert list(found) == ["Echo-0", "Echo-1", "Cluster-0", "Cluster-1", "gateway-0", "gateway-1"]
    assert [one.role for one in found.values()] == ["replica"] * 4 + ["gateway"] * 2
    assert found["Cluster-0"].holding == Holding(LOCAL, [0, 2])
    assert found["Echo-1"].memory_limit == 10**9
    assert found["gateway-0"].memory_limit is None
    assert "OMP_NUM_THREADS" in found["Echo-0"].environment
    assert all("MALLOC_TRIM_THRESHOLD_" in one.environment for one in found.values())


def test_orders_say_all_a_process_needs(tmp_path: Path) -> None:
    found = made(tmp_path)
    worker = decode_worker(found["Cluster-1"].orders("Cluster-1~2", Holding("r7", [1]), 5, 6))
    assert (worker.service, worker.replica, worker.data, worker.control) == ("Cluster", "Cluster-1~2", 5, 6)
    assert (worker.holding, worker.artifacts) == (Holding("r7", [1]), str(tmp_path / "artifacts"))
    gateway = decode_gateway(found["gateway-1"].orders("gateway-1", Holding("r7", []), 7, 8))
    assert (gateway.name, gateway.http, gateway.control) == ("gateway-1", 7, 8)
    assert gateway.door == str(RunDir(tmp_path / "run").door("gateway-1"))
    assert gateway.release == "r7"


def test_the_same_plan_has_the_same_digests(tmp_path: Path) -> None:
    assert {slot: one.digest for slot, one in made(tmp_path).items()} == {
        slot: one.digest for slot, one in made(tmp_path).items()
    }


@pytest.mark.parametrize(
    ("change", "outdated"),
    [
        ({"max_body": 7}, "gateways"),
        ({"port": 9999}, "gateways"),
        ({"log_level": "error"}, "all"),
        ({"code": APP.replace("return x", "return x + 1")}, "all"),
        ({"gateways": 1}, "none"),
        ({"start_timeout": 1.0, "hang_timeout": 2.0}, "none"),
    ],
)
def test_what_is_told_otherwise_has_another_digest(tmp_path: Path, change: dict[str, Any], outdated: str) -> None:
    before, after = made(tmp_path), made(tmp_path, **change)
    both = before.keys() & after.keys()
    changed = {slot for slot in both if before[slot].digest != after[slot].digest}
    assert (
        changed
        == {
            "all": both,
            "gateways": {"gateway-0", "gateway-1"},
            "none": set(),
        }[outdated]
    )


def record(one: Recipe, *, release: str = LOCAL) -> Record:
    """Of a process that was started by this recipe."""
    return Record(
        name=one.slot, role=one.role, service=one.service, shards=[], pid=71, born="", data="", control="",
        release=release, digest=one.digest, content=one.content,
    )  # fmt: skip


def test_only_those_whose_local_shards_have_changed_are_outdated(tmp_path: Path) -> None:
    before, after = made(tmp_path), made(tmp_path, shards=4)
    outdated = {slot for slot in before if not after[slot].fits(record(before[slot]))}
    assert outdated == {"Cluster-1", "gateway-0", "gateway-1"}, "Cluster-0 holds shards 0 and 2 in both"


def test_one_of_a_release_does_not_fit_local_artifacts_but_any_release(tmp_path: Path) -> None:
    local = made(tmp_path)["Echo-0"]
    released = replace(local, holding=Holding("r8", [0]), content="")
    assert local.fits(record(local))
    assert not local.fits(record(released, release="r7"))
    assert released.fits(record(released, release="r7")), "which release it holds changes while it runs"
    assert released.fits(record(local)), "and it may come to a release from the local artifacts"
    assert not replace(released, digest="other").fits(record(released))

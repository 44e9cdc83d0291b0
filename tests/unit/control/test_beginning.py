"""With what a system begins: what the pointer says, what it was told, or the folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

import kapelle
from kapelle.artifacts.folder_objects import FolderObjects
from kapelle.artifacts.pointer import PointerLog
from kapelle.artifacts.releases import Releases
from kapelle.config.settings import Settings
from kapelle.control.beginning import arrange
from kapelle.control.plan import Plan, Stock
from kapelle.core.rollout_messages import Pointer
from kapelle.declare.apps import app_spec
from kapelle.errors import ArtifactError, StartError, StoreError


@kapelle.service(sharded_by="index", copies=2)
class Cluster:
    def __init__(self, shard: Path) -> None: ...

    @kapelle.method
    def find(self) -> int:
        return 0


@kapelle.app
class Search:
    cluster: kapelle.Sharded[Cluster]

    @kapelle.get("/")
    async def search(self) -> int:
        return 0


class Shop:
    """A store with releases of two and of five shards, and local artifacts with three."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects = FolderObjects(folder / "store")
        self.log = PointerLog(self.objects)
        for name, shards in (("two", 2), ("five", 5), ("local", 3)):
            for number in range(shards):
                part = folder / name / "index" / "shards" / f"{number:03}"
                part.mkdir(parents=True)
                (part / "file").write_text(f"{name} {'x' * number * 1000}")
        for name in ("two", "five"):
            Releases(self.objects).build("Search", folder / name, ["index"], lambda _: None)

    def arrange(self, *, runs: bool = False, **settings: Any) -> tuple[Plan, bool]:
        """The plan, and whether its release can be changed."""
        app = app_spec(Search)
        assert app is not None
        stock = Stock(self.folder / "local", str(self.objects), self.folder / "cache")
        made = msgspec.convert({"shard_processes": 2, **settings}, Settings)
        what = arrange("search.py", app, made, stock, self.objects, runs=runs)
        return what.plan, what.conductor is not None


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


async def test_the_folder_where_nothing_is_current(shop: Shop) -> None:
    plan, can_change = shop.arrange()
    assert (plan.release, plan.shard_counts, can_change) == ("local", {"Cluster": 3}, True)
    assert shop.log.read().epoch == 0, "to begin is no reason to write"


async def test_without_the_folder_it_names_the_release_to_begin_with(shop: Shop) -> None:
    shutil.rmtree(shop.folder / "local")
    with pytest.raises(ArtifactError, match=r"--artifacts; or begin with a release that was built: --release r2$"):
        shop.arrange()
    shutil.rmtree(shop.folder / "store")
    with pytest.raises(ArtifactError, match=r"--artifacts$"):
        shop.arrange()


async def test_what_is_current(shop: Shop) -> None:
    assert shop.log.write(Pointer(1, "r2"), "", 0.0)
    plan, _ = shop.arrange()
    assert (plan.release, plan.shard_counts) == ("r2", {"Cluster": 5})
    held = [shard for one in plan.replicas for shard in one.shards]
    assert sorted(held) == sorted([*range(5)] * 2)
    sizes = [sum(1000 * shard for shard in one.shards) for one in plan.replicas]
    assert max(sizes) - min(sizes) <= 2000, "balanced by size"


async def test_what_it_is_told_becomes_current(shop: Shop) -> None:
    assert shop.log.write(Pointer(1, "r2"), "", 0.0)
    plan, _ = shop.arrange(release="r1")
    assert plan.release == "r1"
    pointer = shop.log.read()
    assert (pointer.epoch, pointer.release, pointer.previous) == (2, "r1", "r2")
    shop.arrange(release="r1", runs=True)
    assert shop.log.read() == pointer


async def test_what_runs_is_not_replaced_by_the_way(shop: Shop) -> None:
    assert shop.log.write(Pointer(1, "r2"), "", 0.0)
    with pytest.raises(StartError, match=r"r2 is served by processes that run; .*`kapelle release publish r1`"):
        shop.arrange(release="r1", runs=True)
    assert shop.log.read().release == "r2"


async def test_a_release_that_is_not_there_moves_nothing(shop: Shop) -> None:
    with pytest.raises(StoreError, match="no release 'r7'"):
        shop.arrange(release="r7")
    assert shop.log.read().epoch == 0


async def test_the_folder_alone(shop: Shop) -> None:
    assert shop.log.write(Pointer(1, "r2"), "", 0.0)
    plan, can_change = shop.arrange(release="local")
    assert (plan.release, can_change) == ("local", False)

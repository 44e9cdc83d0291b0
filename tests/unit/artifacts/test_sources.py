"""A process gets the files it asks for, also when the store is gone after it was asked once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kapelle.artifacts.cache import Cache
from kapelle.artifacts.folder import ArtifactFolder
from kapelle.artifacts.folder_objects import FolderObjects
from kapelle.artifacts.releases import Releases
from kapelle.artifacts.sources import CachedSource, Sources, restore_code
from kapelle.config.orders import LOCAL
from kapelle.declare.code import Code
from kapelle.errors import ArtifactError, StoreError
from kapelle.observe.metrics import Registry


class Shop:
    """Artifacts, a store that has them as a release, and what a process of this machine sees of it."""

    def __init__(self, folder: Path, name: str = "store") -> None:
        self.artifacts = folder / f"{name}-artifacts"
        self.store = folder / name
        self.cache = folder / "cache"
        self.releases = Releases(FolderObjects(self.store))

    def build(self, **files: str) -> None:
        """Files by name, in which ``__`` stands for a slash."""
        for name, content in files.items():
            path = self.artifacts / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        names = [path.name for path in self.artifacts.iterdir()]
        self.releases.build("app", self.artifacts, names, lambda _: None)

    def source(self, name: str = "r1") -> CachedSource:
        return CachedSource(Cache(self.cache), self.releases, name, str(self.store))

    def blob(self, path: str) -> Path:
        digest = dict(self.releases.get("r1").manifest.files())[path].sha256
        return self.store / "blobs" / digest[:2] / digest


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path)
    shards = {f"index__shards__{number:03}__vectors": str(number) * (number + 1) for number in range(4)}
    shop.build(model__weights="weights", index__centroids="centroids", **shards)
    return shop


def test_only_what_is_asked_for_is_fetched(shop: Shop) -> None:
    source = shop.source()
    assert source.shard_count("index") == 4
    assert source.fetched == 0
    assert (source.shard("index", 2) / "vectors").read_text() == "222"
    assert source.fetched == 3
    assert sum(path.is_file() for path in (shop.cache / "blobs").rglob("*")) == 1, "nothing of the other shards"
    assert (source.path("index") / "centroids").read_text() == "centroids"
    assert source.fetched == 12
    assert source.shard("index", 2) == shop.source().shard("index", 2)
    assert source.fetched == 12


def test_an_artifact_of_nothing_but_shards_has_a_folder(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.build(index__shards__000__a="a")
    assert list(shop.source().path("index").iterdir()) == []


def test_what_a_release_does_not_have_is_said(shop: Shop) -> None:
    source = shop.source()
    with pytest.raises(ArtifactError, match="r1 has no artifact 'words'; it has index, model: build"):
        source.path("words")
    with pytest.raises(ArtifactError, match="r1 has no artifact 'words'"):
        source.shard("words", 0)
    with pytest.raises(ArtifactError, match="artifact 'model' of r1 has no shards"):
        source.shard_count("model")
    for number in (-1, 4):
        with pytest.raises(ArtifactError, match=f"artifact 'index' of r1 has no shard {number}; it has 0 to 3"):
            source.shard("index", number)


def test_a_file_that_the_store_has_lost_is_named(shop: Shop) -> None:
    shop.blob("index/shards/003/vectors").unlink()
    with pytest.raises(
        ArtifactError,
        match=r"r1 is damaged: index/shards/003/vectors cannot be read \(.* has no blobs/.*\), expected 4 bytes and "
        r"SHA-256 .*; `kapelle release verify r1 --target APP`",
    ):
        shop.source().shard("index", 3)


def test_a_file_that_is_not_what_it_was_is_named(shop: Shop) -> None:
    shop.blob("model/weights").write_text("weighty")
    with pytest.raises(
        ArtifactError, match=r"r1 is damaged: model/weights has 7 bytes and SHA-256 .* expected 7 bytes"
    ):
        shop.source().path("model")


def be_removed(store: Path) -> None:
    shutil.rmtree(store)


def be_unreachable(store: Path) -> None:
    store.rename(store.with_name("elsewhere"))
    store.write_text("no folder")


@pytest.mark.parametrize("end", [be_removed, be_unreachable])
def test_what_was_fetched_is_there_without_the_store(shop: Shop, end: object) -> None:
    shop.source().shard("index", 1)
    assert callable(end)
    end(shop.store)
    source = shop.source()
    assert (source.shard("index", 1) / "vectors").read_text() == "11"
    assert source.shard_count("index") == 4
    with pytest.raises((StoreError, ArtifactError)):
        source.shard("index", 2)
    with pytest.raises(StoreError):
        shop.source("r2")


def test_a_store_that_cannot_be_reached_has_no_damaged_files(shop: Shop) -> None:
    source = shop.source()
    be_unreachable(shop.store)
    with pytest.raises(StoreError, match="cannot read"):
        source.path("model")


def test_a_release_that_the_store_has_no_more_is_not_to_be_had(shop: Shop) -> None:
    shop.source().path("model")
    shop.build(model__weights="others")
    shop.releases.delete([shop.releases.get("r1")])
    with pytest.raises(StoreError, match=r"no release 'r1' in .*; there are r2"):
        shop.source()


def test_r1_of_another_store_is_another_release(shop: Shop, tmp_path: Path) -> None:
    other = Shop(tmp_path, "other")
    other.build(model__weights="others")
    assert (shop.source().path("model") / "weights").read_text() == "weights"
    assert (other.source().path("model") / "weights").read_text() == "others"
    for one in (shop, other):
        be_removed(one.store)
    assert (shop.source().path("model") / "weights").read_text() == "weights"
    assert (other.source().path("model") / "weights").read_text() == "others"
    with pytest.raises(StoreError, match="no release 'r1'"):
        Shop(tmp_path, "third").source()


def test_sources_are_local_or_of_the_store(shop: Shop) -> None:
    sources = Sources(shop.artifacts, str(shop.store), shop.cache, Registry())
    assert not shop.cache.exists()
    assert isinstance(sources.of(LOCAL), ArtifactFolder)
    assert sources.of(LOCAL).path("model") == shop.artifacts / "model"
    assert not shop.cache.exists()
    assert (sources.of("r1").path("model") / "weights").read_text() == "weights"
    with pytest.raises(StoreError, match=r"no release 'r2' in .*; there are r1"):
        sources.of("r2")


def test_what_is_fetched_is_counted_once_per_machine(shop: Shop) -> None:
    def fetched(registry: Registry) -> float:
        [family] = registry.collect()
        assert family.name == "kapelle_fetched_bytes_total"
        return family.samples[0].value

    one, other = Registry(), Registry()
    for registry in (one, other):
        sources = Sources(shop.artifacts, str(shop.store), shop.cache, registry)
        source = sources.of("r1")
        source.path("model")
        sources.of("r1").path("index")
    assert (fetched(one), fetched(other)) == (len("weights") + len("centroids"), 0)


@pytest.fixture
def coded(shop: Shop) -> Shop:
    """A shop whose r2 brings code."""
    files = {name: shop.artifacts.with_name(name) for name in ("app.py", "words.py")}
    for name, path in files.items():
        path.write_text(f"# {name}")
    shop.releases.build("app", shop.artifacts, ["model"], lambda _: None, code=Code("app.py", files))
    return shop


def test_code_that_was_taken_from_the_cache_is_put_back(coded: Shop) -> None:
    folder = coded.source("r2").path("kapelle.code")
    target = f"{folder}/app.py:App"
    (folder / "words.py").unlink()
    restore_code(target, "r2", str(coded.store), coded.cache)
    assert (folder / "words.py").read_text() == "# words.py"
    shutil.rmtree(coded.cache)
    restore_code(target, "r2", str(coded.store), coded.cache)
    assert (folder / "app.py").read_text() == "# app.py"


def test_code_that_is_there_needs_no_store(coded: Shop) -> None:
    folder = coded.source("r2").path("kapelle.code")
    shutil.rmtree(coded.store)
    shutil.rmtree(coded.cache / "manifests")
    restore_code(f"{folder}/app.py", "r2", str(coded.store), coded.cache)
    (folder / "app.py").unlink()
    with pytest.raises(StoreError, match="no release 'r2'"):
        restore_code(f"{folder}/app.py", "r2", str(coded.store), coded.cache)


def test_code_that_is_on_the_machine_is_nobodys_to_put_back(shop: Shop) -> None:
    restore_code("app.py", LOCAL, str(shop.store), shop.cache)
    assert not shop.cache.exists()
    restore_code("apps/search", LOCAL, "", Path())

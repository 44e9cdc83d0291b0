"""Releases are built once for each content, and whatever is wrong with one is named."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import pytest

from kapelle.artifacts.folder_objects import FolderObjects
from kapelle.artifacts.releases import Release, Releases, code_version, differences
from kapelle.declare.code import Code
from kapelle.errors import ArtifactError, StoreError


class Shop:
    """A folder of artifacts and a store."""

    def __init__(self, folder: Path) -> None:
        self.artifacts = folder / "artifacts"
        self.objects = FolderObjects(folder / "store")
        self.releases = Releases(self.objects)
        self.read = 0

    def write(self, **files: str) -> None:
        """Files by name, in which ``__`` stands for a slash."""
        for name, content in files.items():
            path = self.artifacts / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    def build(self, *names: str) -> tuple[Release, bool]:
        return self.releases.build("app", self.artifacts, names or ("model", "index"), self.advance)

    def verify(self, release: Release) -> None:
        self.releases.verify(release, self.advance)

    def advance(self, count: int) -> None:
        self.read += count

    def blob(self, release: Release, path: str) -> Path:
        digest = dict(release.manifest.files())[path].sha256
        return self.objects.root / "blobs" / digest[:2] / digest


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path)
    shop.write(model__weights="weights", index__centroids="c", index__shards__000__a="aa", index__shards__001__a="bb")
    return shop


def test_a_release_has_all_files_of_its_artifacts(shop: Shop) -> None:
    release, new = shop.build()
    assert (release.name, new) == ("r1", True)
    assert [path for path, _ in release.manifest.files()] == [
        "index/centroids", "index/shards/000/a", "index/shards/001/a", "model/weights",
    ]  # fmt: skip
    assert shop.read == release.manifest.size == 12
    shop.verify(release)
    assert shop.releases.get("r1") == release
    assert shop.releases.all() == [release]


def test_the_same_content_is_the_same_release(shop: Shop) -> None:
    first, _ = shop.build()
    assert shop.build() == (first, False)
    shop.write(model__weights="others")
    second, new = shop.build()
    assert (second.name, new) == ("r2", True)
    shop.write(model__weights="weights")
    assert shop.build() == (first, False)
    assert [one.name for one in shop.releases.all()] == ["r1", "r2"]


def test_of_two_builds_at_once_each_gets_a_name_of_its_own(shop: Shop, tmp_path: Path) -> None:
    def build(number: int) -> str:
        other = Shop(tmp_path / str(number))
        other.write(model__weights=f"weights {number}")
        made, _ = shop.releases.build("app", other.artifacts, ["model"], lambda _: None)
        return made.name

    with ThreadPoolExecutor(6) as pool:
        names = list(pool.map(build, range(12)))
    assert sorted(names, key=lambda one: int(one[1:])) == [f"r{number}" for number in range(1, 13)]


def test_of_many_builds_of_the_same_at_once_comes_one_release(shop: Shop) -> None:
    with ThreadPoolExecutor(6) as pool:
        built = list(pool.map(lambda _: shop.build(), range(12)))
    assert [new for _, new in built].count(True) == 1
    assert len({release.name for release, _ in built}) == len(shop.releases.names) == 1


def test_what_a_newer_kapelle_has_made_is_in_nobodys_way(shop: Shop) -> None:
    release, _ = shop.build()
    assert shop.objects.create("releases/r2.json", b'{"format": 99}')
    assert shop.releases.readable() == [release]
    shop.write(model__weights="more")
    later, _ = shop.build()
    assert later.name == "r3"
    with pytest.raises(ArtifactError, match="r2 has format 99"):
        shop.releases.delete([release])
    shop.verify(release)


def test_a_damaged_file_that_a_new_release_shares_is_mended(shop: Shop) -> None:
    old, _ = shop.build()
    flip(shop.blob(old, "index/centroids"))
    shop.write(model__weights="more")
    new, _ = shop.build()
    shop.verify(new)
    shop.verify(old)


def test_a_release_that_was_removed_halfway_can_be_built_again(shop: Shop) -> None:
    release, _ = shop.build()
    shop.objects.delete("releases/r1.json")
    again, new = shop.build()
    assert (again.manifest.identity, new) == (release.manifest.identity, True)
    assert shop.build() == (again, False)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (flip, r"model/weights has SHA-256 [0-9a-f]{12}…, expected [0-9a-f]{12}…"),
        (truncate, "model/weights has 6 bytes, expected 7"),
        (Path.unlink, "model/weights: .*store has no blobs/[0-9a-f/]+"),
    ],
)
def test_what_is_damaged_is_named_and_mended_by_another_build(
    shop: Shop, harm: Callable[[Path], None], words: str
) -> None:
    release, _ = shop.build()
    harm(shop.blob(release, "model/weights"))
    with pytest.raises(ArtifactError, match=f"r1 is damaged: {words}. Build it again"):
        shop.verify(release)
    assert shop.build() == (release, False)
    shop.verify(release)


def test_all_that_is_damaged_is_named(shop: Shop) -> None:
    release, _ = shop.build()
    for path in ("model/weights", "index/shards/001/a"):
        flip(shop.blob(release, path))
    with pytest.raises(ArtifactError, match=r"index/shards/001/a has .*; model/weights has "):
        shop.verify(release)


def test_what_is_not_there_is_named_with_what_is(shop: Shop) -> None:
    with pytest.raises(StoreError, match=r"no release 'r1' in .*store; it is empty"):
        shop.releases.get("r1")
    shop.build()
    for name in ("r2", "../r1", "x"):
        with pytest.raises(StoreError, match=r"no release .*; there are r1"):
            shop.releases.get(name)


def test_a_manifest_of_a_newer_format_is_refused(shop: Shop) -> None:
    assert shop.objects.create("releases/r1.json", b'{"format": 99}')
    with pytest.raises(ArtifactError, match="r1 has format 99"):
        shop.releases.get("r1")


def test_what_cannot_be_a_release_is_refused(shop: Shop) -> None:
    with pytest.raises(ArtifactError, match="no artifact 'nothing'"):
        shop.build("nothing")
    (shop.artifacts / "empty").mkdir()
    with pytest.raises(ArtifactError, match="artifact 'empty' has no files"):
        shop.build("empty")
    (shop.artifacts / "model" / "link").symlink_to("/etc/passwd")
    with pytest.raises(ArtifactError, match="link is neither a file nor a folder"):
        shop.build("model")
    shop.write(gap__shards__000__a="a", gap__shards__002__a="b")
    with pytest.raises(ArtifactError, match=r"shards are numbered \[0, 2\]; expected 0 to 1"):
        shop.build("gap")
    (shop.artifacts / "index" / "shards" / "002" / "deep").mkdir(parents=True)
    with pytest.raises(ArtifactError, match=r"index/shards/002 has no files"):
        shop.build("index")
    shop.write(twice__shards__0__a="a", twice__shards__000__b="b")
    with pytest.raises(ArtifactError, match="shards/0 and shards/000 are the same shard"):
        shop.build("twice")
    assert shop.releases.all() == []


@pytest.mark.parametrize(
    "name", ["new\nline", "back\\slash", "caf\udce9", "no\N{NO-BREAK SPACE}break", "n" * 200 + "/" + "n" * 200]
)
def test_a_name_that_nobody_would_read_again_is_refused(shop: Shop, name: str) -> None:
    path = shop.artifacts.joinpath("model", *[name] * 5 if "/" in name else [name])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    with pytest.raises(ArtifactError, match=r"artifact 'model' has a file .*: rename it"):
        shop.build("model")
    assert shop.releases.names == []


def test_what_cannot_be_read_is_not_left_out(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.write(model__deep__more="more")
    deep, scandir, opened = shop.artifacts / "model" / "deep", os.scandir, Path.open

    def forbid(path: Path, *_: Any) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("os.scandir", lambda path: forbid(deep) if Path(path) == deep else scandir(path))
        with pytest.raises(ArtifactError, match=r"cannot read .*/model/deep: Permission denied"):
            shop.build("model")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda path, *mode: forbid(path) if path.name == "more" else opened(path, *mode))
        with pytest.raises(ArtifactError, match=r"cannot read .*/model/deep/more: Permission denied"):
            shop.build("model")
    assert shop.releases.names == []


def test_a_release_of_too_many_files_is_refused(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kapelle.artifacts.manifest._MAX_MANIFEST", 100)
    with pytest.raises(ArtifactError, match=r"1 files make a manifest of \d+ bytes; expected 100 at most"):
        shop.build("model")
    assert shop.objects.list("blobs/") == []


def test_differences_are_by_file(shop: Shop) -> None:
    old, _ = shop.build()
    shop.write(model__weights="other", index__shards__002__a="cc")
    (shop.artifacts / "index" / "centroids").unlink()
    new, _ = shop.build()
    changes = differences(old.manifest, new.manifest)
    assert [(one.path, one.old is None, one.new is None) for one in changes] == [
        ("index/centroids", False, True), ("index/shards/002/a", True, False), ("model/weights", False, False),
    ]  # fmt: skip
    assert differences(old.manifest, old.manifest) == []


def test_what_other_releases_need_stays(shop: Shop) -> None:
    old, _ = shop.build()
    shop.write(model__weights="a longer text")
    new, _ = shop.build()
    assert shop.releases.delete([old]) == len("weights")
    assert shop.releases.all() == [new]
    shop.verify(new)
    shop.write(model__weights="yet another")
    assert shop.build()[0].name == "r3", "a name is not given twice while a later one is there"


def test_the_version_of_code_is_known_before_there_is_a_release(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("x = 1")
    code = Code("app.py", {"app.py": tmp_path / "app.py"})
    release, _ = shop.releases.build("app", shop.artifacts, ["model"], shop.advance, code=code)
    assert code_version(code) == release.manifest.code

"""A release on the disk is whole and verified, or it is not there."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from kapelle.artifacts.checkout import check_out
from kapelle.artifacts.folder import ArtifactFolder
from kapelle.artifacts.folder_objects import FolderObjects
from kapelle.artifacts.releases import Releases
from kapelle.errors import ArtifactError, StoreError


def built(folder: Path) -> Releases:
    for number in range(3):
        shard = folder / "artifacts" / "index" / "shards" / f"{number:03}"
        shard.mkdir(parents=True)
        (shard / "vectors").write_text(str(number) * 1000)
    (folder / "artifacts" / "index" / "centroids").write_text("c")
    releases = Releases(FolderObjects(folder / "store"))
    releases.build("app", folder / "artifacts", ["index"], lambda _: None)
    return releases


def out(folder: Path) -> Path:
    """As a process does it."""
    releases = Releases(FolderObjects(folder / "store"))
    return check_out(releases, releases.get("r1"), folder / "cache", lambda _: None)


def test_it_is_a_folder_of_artifacts(tmp_path: Path) -> None:
    built(tmp_path)
    found = ArtifactFolder(out(tmp_path))
    assert (found.path("index") / "centroids").read_text() == "c"
    assert found.shard_count("index") == 3
    assert (found.shard("index", 2) / "vectors").read_text() == "2" * 1000
    assert (found.path("index") / "centroids").stat().st_mode & 0o777 == 0o444


def test_it_is_made_once(tmp_path: Path) -> None:
    releases = built(tmp_path)
    first = out(tmp_path)
    read: list[int] = []
    assert check_out(releases, releases.get("r1"), tmp_path / "cache", read.append) == first
    assert read == []


def test_processes_may_make_it_at_the_same_time(tmp_path: Path) -> None:
    built(tmp_path)
    with ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as pool:
        folders = set(pool.map(out, [tmp_path] * 8))
    (folder,) = folders
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [folder.name], "nothing else is left"


def test_what_is_damaged_does_not_appear(tmp_path: Path) -> None:
    releases = built(tmp_path)
    digest = dict(releases.get("r1").manifest.files())["index/shards/001/vectors"].sha256
    (tmp_path / "store" / "blobs" / digest[:2] / digest).write_text("1" * 999 + "x")
    with pytest.raises(ArtifactError, match="r1 is damaged: index/shards/001/vectors has 1000 bytes and SHA-256"):
        out(tmp_path)
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_a_killed_process_has_left_is_in_nobodys_way(tmp_path: Path) -> None:
    built(tmp_path)
    left = tmp_path / "cache" / ".incoming-left"
    left.mkdir(parents=True)
    (left / "half").write_text("x")
    assert (out(tmp_path) / "index" / "centroids").read_text() == "c"


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    built(tmp_path)
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(StoreError, match=r"cannot write r1 to .*cache"):
        out(tmp_path)

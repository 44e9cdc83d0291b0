"""Artifacts are found by name, and what is missing is named with what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from kapelle.artifacts.folder import ArtifactFolder, everything_in
from kapelle.errors import ArtifactError


def test_an_artifact_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "encoder").mkdir()
    assert ArtifactFolder(tmp_path).path("encoder") == tmp_path / "encoder"


def test_what_is_missing_is_named_with_what_is_there(tmp_path: Path) -> None:
    for name in ("index", "encoder"):
        (tmp_path / name).mkdir()
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ArtifactError) as caught:
        ArtifactFolder(tmp_path).path("model")
    assert caught.value.detail == (
        f"no artifact 'model' in {tmp_path}; it has encoder, index: build it, or name the folder with --artifacts"
    )


def test_a_file_is_no_artifact(tmp_path: Path) -> None:
    (tmp_path / "model").touch()
    with pytest.raises(ArtifactError, match="it is empty or missing"):
        ArtifactFolder(tmp_path).path("model")
    with pytest.raises(ArtifactError, match="it is empty or missing"):
        ArtifactFolder(tmp_path / "nowhere").path("model")


def make_shards(root: Path, *names: str) -> None:
    for name in names:
        (root / "index" / "shards" / name).mkdir(parents=True)


@pytest.mark.parametrize(
    "names",
    [["000", "001", "002"], ["0", "1", "2"], [str(number) for number in range(12)]],
    ids=["padded", "plain", "ten and more"],
)
def test_shards_come_in_the_order_of_their_numbers(tmp_path: Path, names: list[str]) -> None:
    make_shards(tmp_path, *reversed(names))
    shards = ArtifactFolder(tmp_path).shards("index")
    assert [int(path.name) for path in shards] == list(range(len(names)))


def test_other_files_beside_the_shards_are_of_no_interest(tmp_path: Path) -> None:
    make_shards(tmp_path, "000", "001", ".tmp", "²")
    (tmp_path / "index" / "shards" / "002").touch()
    assert len(ArtifactFolder(tmp_path).shards("index")) == 2


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        ([], "has no shards: expected folders 000, 001"),
        (["000", "002"], r"shards are numbered \[0, 2\]; expected 0 to 1"),
        (["001"], r"shards are numbered \[1\]; expected 0 to 0"),
        (["0", "00"], r"shards are numbered \[0, 0\]; expected 0 to 1"),
    ],
    ids=["none", "gap", "no first", "twice"],
)
def test_shards_must_be_complete(tmp_path: Path, names: list[str], complaint: str) -> None:
    (tmp_path / "index").mkdir()
    make_shards(tmp_path, *names)
    with pytest.raises(ArtifactError, match=complaint):
        ArtifactFolder(tmp_path).shards("index")


def test_everything_in_a_folder_is_found_and_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a" / ".b").mkdir(parents=True)
    (tmp_path / "a" / ".b" / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    found = {path.relative_to(tmp_path).as_posix() for path in everything_in(tmp_path)}
    assert found == {"a", "a/.b", "a/.b/file", "loop"}
    with pytest.raises(FileNotFoundError):
        list(everything_in(tmp_path / "nothing"))

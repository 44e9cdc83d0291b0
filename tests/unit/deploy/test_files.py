from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kapelle.deploy.files import Fate, write_files
from kapelle.errors import DeployError

OWNER = "search on compose"


def fates(folder: Path, texts: dict[str, str], owner: str = OWNER) -> dict[str, Fate]:
    return {one.path.relative_to(folder).as_posix(): one.fate for one in write_files(folder, owner, texts)}


def test_writes_what_is_missing_and_then_nothing(tmp_path: Path) -> None:
    texts = {"a.yaml": "a\n", "below/b.yaml": "b\n"}
    assert set(fates(tmp_path, texts).values()) == {Fate.WRITTEN}
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert set(fates(tmp_path, texts).values()) == {Fate.UNCHANGED}
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@given(st.dictionaries(st.sampled_from(["a", "b", "c/d"]), st.text("xyz\n")))
def test_generating_twice_writes_nothing(tmp_path_factory: pytest.TempPathFactory, texts: dict[str, str]) -> None:
    folder = tmp_path_factory.mktemp("files")
    write_files(folder, OWNER, texts)
    assert set(fates(folder, texts).values()) <= {Fate.UNCHANGED}
    assert {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".generated"
    } == texts


def test_a_changed_text_replaces_what_nobody_has_edited(tmp_path: Path) -> None:
    write_files(tmp_path, OWNER, {"a": "old"})
    assert fates(tmp_path, {"a": "new"}) == {"a": Fate.WRITTEN}
    assert (tmp_path / "a").read_text() == "new"


def test_an_edited_file_stays_and_what_is_new_is_offered_once(tmp_path: Path) -> None:
    write_files(tmp_path, OWNER, {"a": "old"})
    (tmp_path / "a").write_text("mine")
    assert fates(tmp_path, {"a": "old"}) == {"a": Fate.EDITED}
    assert fates(tmp_path, {"a": "new"}) == {"a": Fate.BESIDE}
    assert (tmp_path / "a.new").read_text() == "new"
    (tmp_path / "a.new").unlink()
    assert fates(tmp_path, {"a": "new"}) == {"a": Fate.EDITED}
    assert (tmp_path / "a").read_text() == "mine"
    assert not (tmp_path / "a.new").exists()


def test_a_file_may_be_edited_in_any_encoding(tmp_path: Path) -> None:
    write_files(tmp_path, OWNER, {"a": "old", "b": "old"})
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"caf\xe9")
    assert fates(tmp_path, {"a": "new"}) == {"a": Fate.BESIDE, "b": Fate.EDITED}
    assert (tmp_path / "a").read_bytes() == b"caf\xe9"


def test_somebody_elses_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")
    assert fates(tmp_path, {"a": "new"}) == {"a": Fate.BESIDE}
    assert (tmp_path / "a").read_text() == "mine"


def test_what_is_needed_no_more_goes_unless_it_was_edited(tmp_path: Path) -> None:
    write_files(tmp_path, OWNER, {"a": "a", "b": "b", "c": "c"})
    (tmp_path / "b").write_text("mine")
    assert fates(tmp_path, {"c": "c"}) == {"a": Fate.REMOVED, "b": Fate.EDITED, "c": Fate.UNCHANGED}
    assert not (tmp_path / "a").exists()
    assert (tmp_path / "b").read_text() == "mine"


def test_a_folder_is_one_apps(tmp_path: Path) -> None:
    write_files(tmp_path, OWNER, {"a": "a"})
    with pytest.raises(DeployError, match="has the files of search on compose, not of other on compose; name another"):
        write_files(tmp_path, "other on compose", {"a": "b"})
    assert (tmp_path / "a").read_text() == "a"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DeployError, match=r"file.* cannot be written.*--out"):
        write_files(tmp_path / "file", OWNER, {"a": "a"})

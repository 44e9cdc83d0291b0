"""A build context has exactly the files that were asked for, and those that are as they should be stay untouched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kapelle.deploy.context import digest_of, write_context
from kapelle.errors import DeployError


def test_only_what_has_changed_is_written(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("one")
    folder = tmp_path / "context"
    assert write_context(folder, {"a/b": source, "c": b"two"}) == ["a/b", "c"]
    os.utime(folder / "c", (1000, 1000))
    source.write_text("eno")  # of the same length
    assert write_context(folder, {"a/b": source, "c": b"two"}) == ["a/b"]
    assert (folder / "a" / "b").read_text() == "eno"
    assert (folder / "c").stat().st_mtime == 1000


def test_what_is_not_wanted_goes_away(tmp_path: Path) -> None:
    write_context(tmp_path, {"a/b/c": b"", "d": b""})
    (tmp_path / "link").symlink_to(tmp_path / "a")
    write_context(tmp_path, {"d": b""})
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DeployError, match=r"file/context cannot be written: Not a directory"):
        write_context(tmp_path / "file" / "context", {})


def test_bytes_and_files_are_alike(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    assert digest_of(b"content") == digest_of(tmp_path / "file")

"""An address says what kind of store it is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kapelle.artifacts.folder_objects import FolderObjects
from kapelle.artifacts.s3_objects import S3Objects
from kapelle.artifacts.stores import open_objects
from kapelle.errors import ConfigError, StoreError


def test_a_path_is_a_folder(tmp_path: Path) -> None:
    found = open_objects(str(tmp_path / "store"))
    assert isinstance(found, FolderObjects)
    assert found.root == tmp_path / "store"
    assert not found.root.exists()


def test_s3_is_a_bucket() -> None:
    found = open_objects("s3://shop/apps/search?endpoint=https://s3.example:9000")
    assert isinstance(found, S3Objects)
    assert (found.bucket, found.prefix, found.endpoint) == ("shop", "apps/search", "https://s3.example:9000")


def test_what_is_neither_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be at ftp://…; expected a folder, or s3://bucket/prefix"):
        open_objects("ftp://me:secret@host/store")


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "kapelle.artifacts.s3_objects")
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(StoreError, match=r"needs the library obstore: pip install 'kapelle\[s3\]'"):
        open_objects("s3://shop/apps")

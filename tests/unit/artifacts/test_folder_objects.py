"""Objects in a folder are there whole or not at all, and of several who create one, one does."""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from kapelle.artifacts.folder_objects import FolderObjects
from kapelle.errors import StoreError


@pytest.fixture
def objects(tmp_path: Path) -> FolderObjects:
    return FolderObjects(tmp_path / "store")


def file(folder: Path, content: bytes) -> Path:
    path = folder / "source"
    path.write_bytes(content)
    return path


def test_what_is_put_is_read(objects: FolderObjects, tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    objects.put("blobs/ab/abc", file(tmp_path, content))
    assert b"".join(objects.read("blobs/ab/abc")) == content
    assert objects.exists("blobs/ab/abc")
    assert objects.list("blobs/") == ["blobs/ab/abc"]
    assert objects.list("releases/") == []


def test_what_is_there_stays_as_it_is(objects: FolderObjects, tmp_path: Path) -> None:
    objects.put("blobs/a", file(tmp_path, b"first"))
    objects.put("blobs/a", file(tmp_path, b"second"))
    assert not objects.create("blobs/a", b"third")
    assert b"".join(objects.read("blobs/a")) == b"first"


def test_what_is_not_there_is_said(objects: FolderObjects) -> None:
    with pytest.raises(StoreError, match="has no releases/r1"):
        b"".join(objects.read("releases/r1"))
    objects.delete("releases/r1")
    assert not objects.exists("releases/r1")


def test_what_is_deleted_is_gone(objects: FolderObjects) -> None:
    assert objects.create("releases/r1", b"x")
    objects.delete("releases/r1")
    assert objects.list("releases/") == []
    assert objects.create("releases/r1", b"y")


def test_of_many_who_create_an_object_one_does(objects: FolderObjects) -> None:
    with ThreadPoolExecutor(8) as pool:
        for number in range(20):
            won = list(pool.map(lambda who, key=f"current/{number}": objects.create(key, b"%d" % who), range(8)))
            assert won.count(True) == 1
            assert b"".join(objects.read(f"current/{number}")) == b"%d" % won.index(True)
    assert not list(objects.root.rglob(".*")), "nothing is left aside"


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may become longer than 64 KiB, as on a disk that is full.

    The limit is the whole process's: inside, nothing else may be written, least of all the progress of the tests to a
    log that is longer already.
    """
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 10, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, old)


def test_a_full_disk_is_said_and_leaves_nothing(objects: FolderObjects, tmp_path: Path) -> None:
    large = file(tmp_path, bytes(1 << 20))
    with full_disk(), pytest.raises(StoreError, match=r"cannot write .*/blobs/a: File too large"):
        objects.put("blobs/a", large)
    with full_disk(), pytest.raises(StoreError, match="cannot write"):
        objects.create("blobs/b", bytes(1 << 20))
    assert objects.list("blobs/") == []
    assert not list((objects.root / "blobs").iterdir())


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    with pytest.raises(StoreError, match="cannot write"):
        FolderObjects(tmp_path / "store").create("releases/r1", b"x")


def test_a_folder_that_cannot_be_read_is_not_taken_for_an_empty_one(
    objects: FolderObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert objects.create("releases/r1.json", b"x")

    def scandir(path: Path) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("os.scandir", scandir)
    with pytest.raises(StoreError, match=r"cannot read .*/releases: Permission denied"):
        objects.list("releases/")

"""What every kind of store promises of its objects."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kapelle.artifacts.objects import NoObject, Objects
from kapelle.artifacts.stores import open_objects
from kapelle.errors import StoreError

LARGE = 20_000_000
"""More bytes than go to S3 in one piece."""


@pytest.fixture
def objects(address: str) -> Objects:
    return open_objects(address)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(os.urandom(LARGE))
    return path


def read(objects: Objects, key: str, start: int = 0) -> bytes:
    return b"".join(objects.read(key, start))


def test_a_file_comes_back_in_pieces(objects: Objects, large: Path) -> None:
    objects.put("blobs/ab/large", large)
    pieces = list(objects.read("blobs/ab/large"))
    assert b"".join(pieces) == large.read_bytes()
    assert max(len(piece) for piece in pieces) < 8 << 20


def test_an_empty_object_is_one(objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    objects.put("blobs/empty", tmp_path / "empty")
    assert objects.exists("blobs/empty")
    assert read(objects, "blobs/empty") == b""


@pytest.mark.parametrize("start", [0, 1, 1 << 20, LARGE - 1, LARGE])
def test_it_is_read_from_the_middle_on(objects: Objects, large: Path, start: int) -> None:
    objects.put("blobs/large", large)
    assert read(objects, "blobs/large", start) == large.read_bytes()[start:]


def test_beyond_its_end_there_is_nothing_to_read(objects: Objects) -> None:
    objects.create("blobs/a", b"1234")
    assert read(objects, "blobs/a", 4) == b""
    with pytest.raises(NoObject, match=r"has 4 bytes of blobs/a; expected at least 5"):
        read(objects, "blobs/a", 5)


def test_what_is_there_stays_as_it_is(objects: Objects, tmp_path: Path) -> None:
    for content in (b"first", b"second"):
        (tmp_path / "file").write_bytes(content)
        objects.put("blobs/a", tmp_path / "file")
    assert not objects.create("blobs/a", b"third")
    assert read(objects, "blobs/a") == b"first"


def test_of_many_who_create_an_object_one_does(objects: Objects) -> None:
    with ThreadPoolExecutor(8) as pool:
        for number in range(10):
            won = list(pool.map(lambda who, key=f"current/{number}": objects.create(key, b"%d" % who), range(8)))
            assert won.count(True) == 1
            assert read(objects, f"current/{number}") == b"%d" % won.index(True)
    assert objects.list("current/") == [f"current/{number}" for number in range(10)], "nothing is left aside"


def test_keys_are_listed_in_order_below_a_prefix(objects: Objects) -> None:
    keys = ["blobs/00/b", "blobs/00/a", "blobs/ff/a", "blobs-too/a", "releases/r10.json", "releases/r2.json"]
    assert objects.list("blobs/") == []
    for key in keys:
        objects.create(key, b"x")
    assert objects.list("blobs/") == ["blobs/00/a", "blobs/00/b", "blobs/ff/a"]
    assert objects.list("blobs/00/") == ["blobs/00/a", "blobs/00/b"]
    assert objects.list("releases/") == ["releases/r10.json", "releases/r2.json"]


def test_what_is_deleted_is_gone_and_may_come_again(objects: Objects) -> None:
    objects.delete("releases/r1")
    assert objects.create("releases/r1", b"x")
    objects.delete("releases/r1")
    objects.delete("releases/r1")
    assert not objects.exists("releases/r1")
    assert objects.create("releases/r1", b"y")


def test_what_is_not_there_is_said(objects: Objects, address: str) -> None:
    with pytest.raises(NoObject, match="has no releases/r1") as caught:
        read(objects, "releases/r1")
    assert address.partition("?")[0] in caught.value.detail
    assert not objects.exists("releases/r1")


def test_nobody_sees_half_an_object(objects: Objects, large: Path) -> None:
    seen: set[int] = set()
    with ThreadPoolExecutor(1) as pool:
        before = read_if_there(objects)
        writing = pool.submit(objects.put, "blobs/large", large)
        while not writing.done():
            assert set(objects.list("blobs/")) <= {"blobs/large"}
            seen.add(read_if_there(objects))
        writing.result()
    assert before == 0
    assert seen <= {0, LARGE}
    assert read_if_there(objects) == LARGE


def read_if_there(objects: Objects) -> int:
    try:
        return len(read(objects, "blobs/large"))
    except NoObject:
        return 0


@pytest.mark.parametrize(
    "do",
    [
        lambda objects, path: read(objects, "releases/r1.json"),
        lambda objects, path: objects.exists("releases/r1.json"),
        lambda objects, path: objects.list("releases/"),
        lambda objects, path: objects.create("releases/r1.json", b"x"),
        lambda objects, path: objects.put("blobs/a", path),
        lambda objects, path: objects.delete("blobs/a"),
    ],
    ids=["read", "exists", "list", "create", "put", "delete"],
)
def test_a_store_that_cannot_be_reached_says_so_soon(
    unreachable: str, do: Callable[[Objects, Path], object], tmp_path: Path
) -> None:
    (tmp_path / "content").write_text("x")
    began = time.monotonic()
    with pytest.raises(StoreError, match="cannot ") as caught:
        do(open_objects(unreachable), tmp_path / "content")
    assert not isinstance(caught.value, NoObject)
    assert time.monotonic() - began < 20

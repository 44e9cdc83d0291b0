"""What every kind of store promises when there are many objects, many writers, or readers that leave early."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from kapelle.artifacts.objects import Objects
from kapelle.artifacts.stores import open_objects

KEY = "blobs/ab/abc"
MIB = 1 << 20


@pytest.fixture
def objects(address: str) -> Objects:
    return open_objects(address)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "source"


def content(objects: Objects, key: str) -> bytes:
    return b"".join(objects.read(key))


def test_of_eight_clients_who_create_an_object_at_once_one_does(address: str) -> None:
    clients = [open_objects(address) for _ in range(8)]  # as eight processes have them, with connections of their own
    together = Barrier(8)

    def create(key: str, who: int) -> bool:
        together.wait()
        return clients[who].create(key, b"%d" % who)

    with ThreadPoolExecutor(8) as pool:
        for number in range(10):
            key = f"current/{number}"
            won = list(pool.map(lambda who, key=key: create(key, who), range(8)))
            assert won.count(True) == 1
            assert {content(each, key) for each in clients} == {b"%d" % won.index(True)}


def test_many_put_the_same_at_once(objects: Objects, source: Path) -> None:
    source.write_bytes(os.urandom(9 * MIB))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: objects.put(KEY, source), range(8)))
    assert content(objects, KEY) == source.read_bytes()
    assert objects.list("blobs/") == [KEY]


@pytest.mark.parametrize("size", [0, 1, 9 * MIB], ids=["none", "one", "nine-mebibytes"])
def test_of_any_size_it_comes_back(objects: Objects, source: Path, size: int) -> None:
    source.write_bytes(os.urandom(size))
    objects.put("blobs/put", source)
    assert objects.create("blobs/created", source.read_bytes())
    assert content(objects, "blobs/put") == content(objects, "blobs/created") == source.read_bytes()


def test_a_reader_may_leave(objects: Objects, source: Path) -> None:
    source.write_bytes(bytes(3 * MIB))
    objects.put(KEY, source)
    reading = iter(objects.read(KEY))
    assert next(reading)
    del reading
    objects.delete(KEY)
    assert not objects.exists(KEY)


def test_more_keys_than_one_answer_holds(objects: Objects) -> None:
    keys = [f"current/{number:010}.json" for number in range(1005)]
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda key: objects.create(key, b""), keys))
    assert objects.list("current/") == keys

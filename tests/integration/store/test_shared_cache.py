"""Processes of one machine share a cache: they fetch together, and one that is killed leaves what it has to the next."""

from __future__ import annotations

import multiprocessing
import resource
import signal
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from kapelle.artifacts.cache import Cache
from kapelle.artifacts.folder_objects import FolderObjects
from kapelle.artifacts.releases import Releases
from kapelle.artifacts.sources import CachedSource
from kapelle.errors import StoreError

FILES = 6
SIZE = 3 << 20
PIECE = 1 << 20
spawn = multiprocessing.get_context("spawn")


class Halting(FolderObjects):
    """Says so when it has read the first piece of a blob, and goes on when it is told to."""

    def __init__(self, root: Path, pipe: Connection) -> None:
        super().__init__(root)
        self._pipe = pipe

    def read(self, key: str, start: int = 0) -> Iterator[bytes]:
        pieces = super().read(key, start)
        if key.startswith("blobs/"):
            yield next(pieces)
            self._pipe.send("the first piece")
            self._pipe.recv()
        yield from pieces


def source(folder: Path, objects: FolderObjects | None = None) -> CachedSource:
    store = folder / "store"
    return CachedSource(Cache(folder / "cache"), Releases(objects or FolderObjects(store)), "r1", str(store))


def fetch_all(folder: Path, pipe: Connection) -> None:
    found = source(folder)
    pipe.send("ready")
    pipe.recv()
    found.path("model")
    pipe.send(found.fetched)


def fetch_slowly(folder: Path, pipe: Connection) -> None:
    found = source(folder, Halting(folder / "store", pipe))
    found.shard("index", 0)
    pipe.send(found.fetched)


def fetch_on_a_small_disk(folder: Path, pipe: Connection) -> None:
    found = source(folder)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE // 2, SIZE // 2))
    try:
        found.shard("index", 0)
    except StoreError as error:
        pipe.send(error.detail)


Start = Callable[[Callable[[Path, Connection], None]], tuple[BaseProcess, Connection]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Run a function in a process of its own; the process, and its pipe."""
    started: list[tuple[BaseProcess, Connection]] = []

    def begin(function: Callable[[Path, Connection], None]) -> tuple[BaseProcess, Connection]:
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=function, args=(tmp_path, theirs))
        process.start()
        theirs.close()
        started.append((process, ours))
        return process, ours

    yield begin
    for process, pipe in started:
        process.kill()
        process.join()
        process.close()
        pipe.close()


@pytest.fixture(autouse=True)
def _store(tmp_path: Path) -> None:
    model, shard = tmp_path / "artifacts" / "model", tmp_path / "artifacts" / "index" / "shards" / "000"
    for folder in (model, shard):
        folder.mkdir(parents=True)
    for number in range(FILES):
        (model / str(number)).write_bytes(bytes([number]) * SIZE)
    (shard / "vectors").write_bytes(b"v" * SIZE)
    releases = Releases(FolderObjects(tmp_path / "store"))
    releases.build("app", tmp_path / "artifacts", ["index", "model"], lambda _: None)


def answer(pipe: Connection) -> Any:
    assert pipe.poll(30), "the process says nothing"
    return pipe.recv()


def test_processes_that_fetch_at_once_fetch_each_file_once(start: Start, tmp_path: Path) -> None:
    pipes = [start(fetch_all)[1] for _ in range(3)]
    for pipe in pipes:
        assert answer(pipe) == "ready"
    for pipe in pipes:
        pipe.send("go")
    assert sum(answer(pipe) for pipe in pipes) == FILES * SIZE
    found = source(tmp_path)
    for number in range(FILES):
        assert (found.path("model") / str(number)).read_bytes() == bytes([number]) * SIZE
    assert found.fetched == 0
    left = [path.name for path in (tmp_path / "cache").rglob("*") if path.name.startswith(".") or ".part" in path.name]
    assert left == []


def test_what_a_killed_process_has_fetched_is_not_fetched_again(start: Start, tmp_path: Path) -> None:
    first, pipe = start(fetch_slowly)
    assert answer(pipe) == "the first piece"
    _, next_pipe = start(fetch_slowly)
    assert first.pid is not None
    first.kill()
    first.join()
    assert first.exitcode == -signal.SIGKILL
    assert answer(next_pipe) == "the first piece"
    next_pipe.send("go on")
    assert answer(next_pipe) == SIZE - PIECE
    assert (source(tmp_path).shard("index", 0) / "vectors").read_bytes() == b"v" * SIZE


def test_a_prune_spares_what_another_process_is_fetching(start: Start, tmp_path: Path) -> None:
    other = source(tmp_path).path("model")
    _, pipe = start(fetch_slowly)
    assert answer(pipe) == "the first piece"
    Cache(tmp_path / "cache").prune(())
    assert other.exists(), "it is of the release that is being fetched"
    pipe.send("go on")
    assert answer(pipe) == SIZE
    assert (source(tmp_path).shard("index", 0) / "vectors").read_bytes() == b"v" * SIZE
    Cache(tmp_path / "cache").prune(())
    assert not other.exists()


def test_a_disk_that_takes_no_more_is_said_and_what_it_took_is_of_use(start: Start, tmp_path: Path) -> None:
    # The kernel refuses: a file may have half of the size. Python ignores the signal that comes with it.
    _, pipe = start(fetch_on_a_small_disk)
    said = answer(pipe)
    assert said.startswith(f"cannot write {tmp_path / 'cache' / 'blobs'}")
    assert said.endswith(": File too large")
    found = source(tmp_path)
    assert (found.shard("index", 0) / "vectors").read_bytes() == b"v" * SIZE
    assert 0 < found.fetched < SIZE

"""Regions of shared memory: hostile clients cannot read what is not theirs, nor end the gateway."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kapelle.errors import InvalidInput
from kapelle.gateway.protocols import regions as module
from kapelle.gateway.protocols.regions import Region, Regions


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What stands for /dev/shm, so that a test may put anything there."""
    folder = tmp_path / "shm"
    folder.mkdir()
    monkeypatch.setattr(module, "MEMORY", folder)
    (folder / "input").write_bytes(bytes(range(100)))
    (tmp_path / "secret").write_bytes(b"secret" * 20)
    return folder


@pytest.fixture
def regions(tmp_path: Path, memory: Path) -> Iterator[Regions]:
    yield Regions(tmp_path / "regions")
    # Whatever happened, nothing half-written stays.
    assert not list((tmp_path / "regions").glob("new-*"))


def test_what_is_registered_is_read_and_written(regions: Regions, memory: Path) -> None:
    regions.register(Region("in", "/input", 10, 50))
    assert bytes(regions.read("in", 5, 3)) == bytes([15, 16, 17])
    regions.write("in", 40, 10, b"abc")
    assert (memory / "input").read_bytes()[50:54] == b"abc" + bytes([53])
    assert regions.status() == regions.status("in") == [Region("in", "/input", 10, 50)]


def test_other_gateways_know_it_too(regions: Regions, tmp_path: Path) -> None:
    regions.register(Region("in", "input", 0, 100))
    assert Regions(tmp_path / "regions").status("in") == [Region("in", "input", 0, 100)]


def test_a_name_is_anything_but_taken(regions: Regions) -> None:
    for name in ("../../etc/passwd", "a/b", "x" * 1000, "ä"):
        regions.register(Region(name, "/input", 0, 1))
        assert regions.status(name)
        with pytest.raises(InvalidInput, match="registered already"):
            regions.register(Region(name, "/input", 0, 1))
    for name in ("", "x" * 2000):
        with pytest.raises(InvalidInput, match="expected a name"):
            regions.register(Region(name, "/input", 0, 1))


def test_what_is_forgotten_is_gone(regions: Regions) -> None:
    for name in ("a", "b", "c"):
        regions.register(Region(name, "/input", 0, 1))
    regions.unregister("a")
    regions.unregister("a")
    assert {one.name for one in regions.status()} == {"b", "c"}
    with pytest.raises(InvalidInput, match="'a' is not registered"):
        regions.read("a", 0, 1)
    regions.unregister()
    assert regions.status() == []


@pytest.mark.parametrize(
    "key", ["../secret", "/../secret", "a/../../secret", "..", ".", "", "/", "in\x00put", "x" * 300]
)
def test_a_key_stays_in_its_folder(regions: Regions, key: str) -> None:
    with pytest.raises(InvalidInput, match="no name of shared memory"):
        regions.register(Region("r", key, 0, 1))


def test_links_are_not_followed(regions: Regions, memory: Path, tmp_path: Path) -> None:
    (memory / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(InvalidInput, match="cannot be opened"):
        regions.register(Region("r", "/link", 0, 1))


def test_only_memory_is_shared(regions: Regions, memory: Path) -> None:
    (memory / "folder").mkdir()
    os.mkfifo(memory / "pipe")
    for key in ("/folder", "/pipe", "/absent"):
        with pytest.raises(InvalidInput):
            regions.register(Region("r", key, 0, 1))


def test_memory_of_others_is_refused(regions: Regions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(InvalidInput, match="not shared memory of the user"):
        regions.register(Region("r", "/input", 0, 1))


@pytest.mark.parametrize(("offset", "size"), [(0, 101), (100, 1), (2**62, 1), (0, 2**62), (-1, 5), (0, 0), (0, -1)])
def test_a_region_lies_within_its_memory(regions: Regions, offset: int, size: int) -> None:
    with pytest.raises(InvalidInput):
        regions.register(Region("r", "/input", offset, size))


@pytest.mark.parametrize(("offset", "size"), [(0, 51), (50, 1), (-1, 2), (2**62, 1), (1, 2**62)])
def test_a_tensor_lies_within_its_region(regions: Regions, offset: int, size: int) -> None:
    regions.register(Region("r", "/input", 0, 50))
    with pytest.raises(InvalidInput, match="not within"):
        regions.read("r", offset, size)
    with pytest.raises(InvalidInput, match="not within"):
        regions.write("r", offset, size, b"")


def test_memory_that_shrinks_is_an_error_and_nothing_worse(regions: Regions, memory: Path) -> None:
    regions.register(Region("r", "/input", 0, 100))
    os.truncate(memory / "input", 10)
    with pytest.raises(InvalidInput, match="too few"):
        regions.read("r", 0, 100)
    with pytest.raises(InvalidInput, match="too few"):
        regions.write("r", 0, 100, b"x" * 100)
    (memory / "input").unlink()
    with pytest.raises(InvalidInput, match="cannot be opened"):
        regions.read("r", 0, 1)


def test_memory_that_shrinks_while_it_is_read(regions: Regions, memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    regions.register(Region("r", "/input", 0, 100))
    read = os.preadv

    def shrink_and_read(handle: int, buffers: list[bytearray], offset: int) -> int:
        os.truncate(memory / "input", 10)
        return read(handle, buffers, offset)

    monkeypatch.setattr(os, "preadv", shrink_and_read)
    with pytest.raises(InvalidInput, match="ends within the tensor"):
        regions.read("r", 0, 100)


def test_an_output_does_not_go_beyond_its_place(regions: Regions, memory: Path) -> None:
    regions.register(Region("r", "/input", 0, 100))
    with pytest.raises(InvalidInput, match="takes 4 bytes"):
        regions.write("r", 10, 3, b"abcd")
    assert (memory / "input").read_bytes() == bytes(range(100))


def test_what_takes_several_calls_is_whole(regions: Regions, memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    regions.register(Region("r", "/input", 10, 80))
    read, write = os.preadv, os.pwrite
    monkeypatch.setattr(os, "preadv", lambda handle, buffers, at: read(handle, [buffers[0][:7]], at))
    monkeypatch.setattr(os, "pwrite", lambda handle, data, at: write(handle, data[:7], at))
    assert bytes(regions.read("r", 5, 60)) == bytes(range(15, 75))
    regions.write("r", 5, 30, b"x" * 30)
    assert (memory / "input").read_bytes() == bytes(range(15)) + b"x" * 30 + bytes(range(45, 100))


def test_memory_that_cannot_be_had_is_told(regions: Regions, monkeypatch: pytest.MonkeyPatch) -> None:
    regions.register(Region("r", "/input", 0, 100))

    def write(handle: int, data: memoryview, offset: int) -> int:
        if len(data) <= 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return 5

    monkeypatch.setattr(os, "pwrite", write)
    with pytest.raises(InvalidInput, match="'/input' cannot be written: No space left") as refused:
        regions.write("r", 0, 10, b"x" * 10)
    assert refused.value.path == "r"


def test_what_is_forgotten_while_it_is_listed(regions: Regions, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        regions.register(Region(name, "/input", 0, 1))
    listed = regions._paths()
    monkeypatch.setattr(regions, "_paths", lambda: listed)
    regions.unregister("a")
    assert [one.name for one in regions.status()] == ["b"]


def test_there_is_an_end_to_registering(regions: Regions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    for number in range(3):
        regions.register(Region(str(number), "/input", 0, 1))
    with pytest.raises(InvalidInput, match="unregister some first"):
        regions.register(Region("more", "/input", 0, 1))

"""The pointer's log: entries are written once, the newest counts, and the wrong store is noticed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kapelle.artifacts.folder_objects import FolderObjects
from kapelle.artifacts.pointer import PointerLog
from kapelle.core.rollout_messages import Pointer, Side
from kapelle.errors import StoreError


@pytest.fixture
def log(tmp_path: Path) -> PointerLog:
    return PointerLog(FolderObjects(tmp_path))


def test_an_empty_store_has_none(log: PointerLog) -> None:
    assert log.read() == Pointer(0, None)
    assert log.numbers == []


def test_the_newest_entry_is_read_as_it_was_written_by_anybody(log: PointerLog, tmp_path: Path) -> None:
    entries = [
        Pointer(1, "r1", None, None, "a"),
        Pointer(2, "r1", None, 7.5, "b", Side("r2", 0.1, mirrored=True)),
        Pointer(3, "r2", "r1", 8.5, "a"),
    ]
    other = PointerLog(FolderObjects(tmp_path))
    for entry in entries:
        assert log.write(entry, "why", 1.0)
        assert log.read() == other.read() == PointerLog(FolderObjects(tmp_path)).read() == entry
    assert log.entry(3).reason == "why"


def test_an_entry_of_a_number_is_written_once(log: PointerLog, tmp_path: Path) -> None:
    authors = [f"author {number}" for number in range(12)]

    def write(author: str) -> bool:
        return PointerLog(FolderObjects(tmp_path)).write(Pointer(1, "r1", author=author), "", 0.0)

    with ThreadPoolExecutor(6) as pool:
        won = [author for author, done in zip(authors, pool.map(write, authors), strict=True) if done]
    assert [log.read().author] == won


def test_a_log_does_not_begin_in_the_middle(log: PointerLog) -> None:
    with pytest.raises(StoreError, match=r"has no current/0000000004.json; is it the same store as before\?"):
        log.write(Pointer(5, "r1"), "", 0.0)


def test_old_entries_go(log: PointerLog) -> None:
    for number in range(1, 111):
        assert log.write(Pointer(number, "r1"), "", 0.0)
    assert log.numbers == list(range(11, 111))


def test_what_is_no_entry_is_told(log: PointerLog, tmp_path: Path) -> None:
    assert log.write(Pointer(1, "r1"), "", 0.0)
    next((tmp_path / "current").iterdir()).write_text("nonsense")
    with pytest.raises(StoreError, match=r"entry 1 of the pointer in .* cannot be read"):
        log.read()

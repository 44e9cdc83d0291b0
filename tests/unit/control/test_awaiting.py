"""A container waits for a release by itself, says what it waits for once, and the controller begins with the newest."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from kapelle.artifacts.folder_objects import FolderObjects
from kapelle.artifacts.pointer import PointerLog
from kapelle.artifacts.releases import Releases
from kapelle.control.awaiting import current_release, newest_release
from kapelle.core.rollout_messages import Pointer


class Store:
    """A store in which something happens while a process waits: ``then`` is done one after the other, at each look."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects = FolderObjects(folder / "store")
        self.then: list[Callable[[], object]] = []

    def build(self, text: str) -> str:
        book = self.folder / "artifacts" / "book"
        book.mkdir(parents=True, exist_ok=True)
        (book / "text").write_text(text)
        return Releases(self.objects).build("App", book.parent, ["book"], lambda _: None)[0].name

    def point(self, release: str) -> None:
        assert PointerLog(self.objects).write(Pointer(1, release, author="somebody"), "", 0.0)

    def pause(self, _: float) -> None:
        """Takes the place of a sleep."""
        self.then.pop(0)()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    store = Store(tmp_path)
    monkeypatch.setattr("time.sleep", store.pause)
    return store


def test_what_the_pointer_names_is_there_at_once(store: Store) -> None:
    store.build("one")
    store.build("two")
    store.point("r1")
    assert current_release(store.objects, "app.py") == "r1"
    assert current_release(store.objects, "app.py", begin=True) == "r1", "the controller changes nothing either"


def test_it_waits_until_there_is_one_and_says_so_once(store: Store) -> None:
    store.then = [lambda: store.build("one"), lambda: None, lambda: store.point("r1")]
    with capture_logs() as logs:
        assert current_release(store.objects, "apps/books") == "r1"
    (said,) = logs
    assert said["event"] == "waiting for a release"
    assert "`kapelle release build apps/books` makes one" in said["reason"]


def test_the_controller_begins_with_the_newest(store: Store) -> None:
    for number in range(10):
        store.build(str(number))
    assert current_release(store.objects, "app.py", begin=True) == "r10"
    assert PointerLog(store.objects).read() == Pointer(1, "r10", None, None, "kapelle start controller")


def test_the_controller_begins_after_entries_that_name_none(store: Store) -> None:
    assert PointerLog(store.objects).write(Pointer(1, None, author="somebody"), "a claim of an empty system", 0.0)
    store.build("one")
    assert current_release(store.objects, "app.py", begin=True) == "r1"
    assert PointerLog(store.objects).read().epoch == 2


def test_the_controller_waits_for_the_first_one(store: Store) -> None:
    store.then = [lambda: store.build("one")]
    with capture_logs():
        assert current_release(store.objects, "app.py", begin=True) == "r1"


def test_of_two_controllers_one_begins(store: Store) -> None:
    store.build("one")
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(current_release(store.objects, "app.py", begin=True)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["r1"] * 4
    assert PointerLog(store.objects).numbers == [1]


def test_a_store_that_cannot_be_read_is_waited_for(store: Store) -> None:
    store.build("one")
    store.point("r1")
    entry = store.folder / "store" / "current" / "0000000001.json"
    whole = entry.read_text()
    entry.write_text(whole[:10])
    store.then = [lambda: None, lambda: entry.write_text(whole)]
    with capture_logs() as logs:
        assert current_release(store.objects, "app.py") == "r1"
    (said,) = logs
    assert "entry 1 of the pointer" in said["reason"]


def test_the_newest_release_is_waited_for_whether_it_is_current_or_not(store: Store) -> None:
    store.then = [lambda: None, lambda: store.build("one")]
    with capture_logs() as logs:
        assert newest_release(store.objects, "apps/books") == "r1"
    (said,) = logs
    assert "no release is in" in said["reason"]
    store.build("two")
    assert newest_release(store.objects, "apps/books") == "r2"
    assert PointerLog(store.objects).read().release is None

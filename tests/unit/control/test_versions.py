"""The code of a release is fetched, and its outline read without being imported here."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kapelle.artifacts.cache import Cache
from kapelle.artifacts.folder_objects import FolderObjects
from kapelle.artifacts.releases import Release, Releases
from kapelle.control.versions import Version, Versions
from kapelle.declare.code import Code
from kapelle.declare.outline import Outline
from kapelle.errors import DeclarationError

APP = """
import kapelle

@kapelle.app
class {name}:
    @kapelle.get("/")
    async def root(self) -> int:
        return 1
"""
LOCAL = Version("", "app.py", Outline("Local", None, {}))


class Store:
    """A store, and what is found in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects = FolderObjects(folder / "store")
        self.cache = folder / "cache"
        self.versions = Versions(LOCAL, self.objects, Cache(self.cache))

    def release(self, text: str | None, edition: str = "one") -> Release:
        """A release with this text for its code, or with none."""
        book = self.folder / "artifacts" / "book"
        book.mkdir(parents=True, exist_ok=True)
        (book / "edition").write_text(edition)
        (self.folder / "app.py").write_text(text or "")
        code = None if text is None else Code("app.py", {"app.py": self.folder / "app.py"})
        return Releases(self.objects).build("App", book.parent, ["book"], lambda _: None, code=code)[0]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_without_code_it_is_what_is_on_the_machine(store: Store) -> None:
    release = store.release(None)
    assert release.manifest.code == ""
    assert store.versions.of(release.name, release.manifest) is LOCAL


def test_the_same_code_is_the_same_version_in_any_release(store: Store) -> None:
    one, two = store.release(APP.format(name="One")), store.release(APP.format(name="One"), "two")
    other = store.release(APP.format(name="Other"))
    first = store.versions.of(one.name, one.manifest)
    assert store.versions.of(two.name, two.manifest) is first
    assert store.versions.known(first.code) is first
    assert first.app.name == "One"
    assert Path(first.target).read_text() == APP.format(name="One")
    assert store.versions.of(other.name, other.manifest).app.name == "Other"


def test_code_that_was_taken_away_is_fetched_again(store: Store) -> None:
    release = store.release(APP.format(name="One"))
    found = store.versions.of(release.name, release.manifest)
    shutil.rmtree(store.cache)
    assert store.versions.of(release.name, release.manifest) is found
    assert Path(found.target).is_file()


def test_code_that_cannot_be_imported_is_said(store: Store) -> None:
    release = store.release("import nothing_of_this_name")
    with pytest.raises(DeclarationError, match="No module named 'nothing_of_this_name'"):
        store.versions.of(release.name, release.manifest)

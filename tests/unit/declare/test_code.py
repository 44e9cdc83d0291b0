"""The code of an app is the Python files it is made of, and none of anybody else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kapelle.declare import code as module
from kapelle.declare.code import code_of
from kapelle.declare.loading import Target
from kapelle.errors import DeclarationError
from tests.docs.documents import forget_modules

APP = """
import kapelle
{imports}

@kapelle.app
class Search:
    @kapelle.get("/")
    async def root(self) -> int:
        return 1
"""


@pytest.fixture(autouse=True)
def _clean_imports(tmp_path: Path) -> Iterator[None]:
    path = list(sys.path)
    yield
    sys.path[:] = path
    forget_modules(tmp_path)


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_link_to_nowhere_is_no_code(tmp_path: Path) -> None:
    """Emacs leaves one beside a file that has unsaved changes."""
    write(tmp_path, app=APP.format(imports=""))
    (tmp_path / ".#app.py").symlink_to("ada@laptop.4711:1700000000")
    target = Target(str(tmp_path / "app.py"))
    target.load()
    assert sorted(code_of(target).files) == ["app.py"]


def test_a_package_is_found_with_all_it_imports_from_its_root(tmp_path: Path) -> None:
    write(tmp_path, stores__search__app=APP.format(imports="import far_helper\nfrom stores import near_helper"))
    write(tmp_path, far_helper="x = 1", stores__near_helper="y = 2", stores__unused="z = 3", stores__search__lazy="")
    write(tmp_path, stores__search__build="raise SystemExit", stores__search__parts__one="", other__app="")
    write(tmp_path, stores__search__tests__test_it="assert False")
    for package in ("stores", "stores/search", "stores/search/parts", "stores/search/tests"):
        (tmp_path / package / "__init__.py").write_text("")
    (tmp_path / "stores" / "search" / "data.bin").write_bytes(bytes(100))
    target = Target(str(tmp_path / "stores" / "search" / "app.py:Search"))
    target.load()
    found = code_of(target)
    assert found.entry == "stores/search/app.py:Search"
    assert sorted(found.files) == [
        "far_helper.py",
        "stores/__init__.py",
        "stores/near_helper.py",
        "stores/search/__init__.py",
        "stores/search/app.py",
        "stores/search/lazy.py",
        "stores/search/parts/__init__.py",
        "stores/search/parts/one.py",
    ]


def test_one_file_is_enough(tmp_path: Path) -> None:
    write(tmp_path, lonely=APP.format(imports="import json"))
    target = Target(str(tmp_path / "lonely.py"))
    target.load()
    found = code_of(target)
    assert (found.entry, list(found.files)) == ("lonely.py", ["lonely.py"])


def test_what_is_too_much_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_FILES", 2)
    write(tmp_path, crowded=APP.format(imports=""), a="", b="")
    target = Target(str(tmp_path / "crowded.py"))
    target.load()
    with pytest.raises(DeclarationError, match=r"crowded\.py: 3 Python files .*: give it a folder of its own"):
        code_of(target)

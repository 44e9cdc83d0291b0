"""The app that a person names is found, or it is said what was found instead."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from kapelle.declare.loading import Target
from kapelle.errors import DeclarationError

APP = """
import kapelle

@kapelle.app
class {name}:
    @kapelle.get("/")
    async def root(self) -> int:
        return 1
"""

Write = Callable[[str, str], Path]

_numbers = itertools.count()


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes files below a fresh working directory; what was imported from there is forgotten again."""
    modules, path = dict(sys.modules), list(sys.path)
    monkeypatch.chdir(tmp_path)

    def write(name: str, text: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    yield write
    sys.path[:] = path
    for name in set(sys.modules) - set(modules):
        del sys.modules[name]


def unique(prefix: str = "band") -> str:
    return f"{prefix}_{next(_numbers)}"


@pytest.mark.parametrize("written", ["apps/{0}", "apps/{0}/", "apps/{0}/app.py", "./apps/{0}/app.py"])
def test_a_folder_or_a_file(write: Write, tmp_path: Path, written: str) -> None:
    name = unique()
    write(f"apps/{name}/__init__.py", "")
    write(f"apps/{name}/app.py", APP.format(name="Band"))
    target = Target(written.format(name))
    assert target.load().name == "Band"
    assert target.module == f"{name}.app"
    assert target.root == tmp_path / "apps"
    assert target.folder == tmp_path / "apps" / name
    assert (target.name, target.label) == (name, f"apps.{name}")


def test_apps_beside_each_other_have_labels_of_their_own(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their run folders and stores are called by them."""
    for folder in ("search", "speech/english"):
        write(f"{folder}/app.py", APP.format(name="Band"))
    assert [Target(one).label for one in ("search", "search.app", "speech/english/app.py")] == [
        "search", "search", "speech.english",
    ]  # fmt: skip
    assert Target("search:Band").label == "search.Band"
    assert Target("search").name == "app", "a release is the same wherever it is built from"
    monkeypatch.chdir(tmp_path / "search")
    assert [Target(one).label for one in ("app.py", ".", "../search", "../speech/english")] == [
        "app", "app", "app", "speech.english",
    ]  # fmt: skip


@pytest.mark.parametrize("written", ["", ":Band"])
def test_no_name_is_no_app(write: Write, written: str) -> None:
    """As of a variable of a shell that is not set; the folder's own app.py is called so."""
    write("app.py", APP.format(name="Band"))
    with pytest.raises(DeclarationError, match=rf"^'{written}' names no app; expected .*, as in 'app.py'$"):
        Target(written)


@pytest.mark.parametrize("written", ["music.{0}", "music.{0}:Band"])
def test_a_module_by_its_name(write: Write, tmp_path: Path, written: str) -> None:
    name = unique()
    write(f"music/{name}.py", APP.format(name="Band"))
    target = Target(written.format(name))
    assert target.folder == tmp_path / "music"
    assert target.load().name == "Band"
    assert target.load().cls.__module__ == f"music.{name}"


def test_a_package_is_imported_from_above_its_topmost_folder(write: Write, tmp_path: Path) -> None:
    top = unique("top")
    for folder in (top, f"{top}/inner"):
        write(f"{folder}/__init__.py", "")
    write(f"{top}/inner/app.py", f"import {top}.inner.other\n{APP.format(name='Band')}")
    write(f"{top}/inner/other.py", "")
    target = Target(f"{top}/inner")
    assert (target.root, target.module) == (tmp_path, f"{top}.inner.app")
    assert target.load().name == "Band"


def test_a_package_may_declare_its_app_in_its_init(write: Write) -> None:
    name = unique()
    write(f"{name}/__init__.py", APP.format(name="Band"))
    assert Target(name).load().name == "Band"


def test_one_of_several_is_named(write: Write, tmp_path: Path) -> None:
    name = unique()
    write(f"{name}.py", APP.format(name="First") + APP.format(name="Second"))
    target = Target(f"{name}.py:Second")
    assert target.load().name == "Second"
    assert target.name == f"{name}.Second"
    with pytest.raises(DeclarationError) as several:
        Target(f"{name}.py").load()
    found = f"found several: First, Second; name one, as in '{name}.py:First'"
    assert str(several.value) == f"{name}.py: expected one class with @kapelle.app, {found}"
    with pytest.raises(DeclarationError) as none:
        Target(f"{name}.py:Third").load()
    found = f"has no 'Third'; the apps there are First, Second: write '{name}.py:First'"
    assert str(none.value) == f"{name}.py:Third: {tmp_path / name}.py {found}"


def test_an_app_that_is_only_imported_is_not_meant(write: Write) -> None:
    first, second = unique(), unique()
    write(f"{first}.py", APP.format(name="First"))
    write(f"{second}.py", f"from {first} import First\n" + APP.format(name="Second"))
    assert Target(f"{second}.py").load().name == "Second"


def test_a_file_without_an_app(write: Write) -> None:
    name = unique()
    write(f"{name}.py", "class Plain: ...")
    with pytest.raises(
        DeclarationError,
        match=rf"{name}.py: expected one class with @kapelle.app, found none; decorate the class whose endpoints",
    ):
        Target(f"{name}.py").load()
    with pytest.raises(DeclarationError, match="has no 'App'; it declares no app"):
        Target(f"{name}.py:App").load()
    with pytest.raises(DeclarationError, match=r"'Plain' is not decorated with @kapelle\.app; it declares no app"):
        Target(f"{name}.py:Plain").load()


def test_a_file_that_only_imports_an_app_says_where_it_is(write: Write) -> None:
    first, second = unique(), unique()
    write(f"{first}.py", APP.format(name="First"))
    write(f"{second}.py", f"from {first} import First")
    with pytest.raises(DeclarationError, match=rf"found none; it only imports First: write '{first}:First'"):
        Target(second).load()
    with pytest.raises(DeclarationError, match=rf"only imports 'First'; write '{first}:First'"):
        Target(f"{second}:First").load()
    with pytest.raises(DeclarationError, match=rf"has no 'Frist'; it only imports First: write '{first}:First'"):
        Target(f"{second}:Frist").load()
    assert Target(f"{first}:First").load().name == "First"


def test_places_that_do_not_exist(write: Write, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        DeclarationError, match=r"empty: the folder has no app\.py; name the file that declares the app$"
    ):
        Target("empty")
    with pytest.raises(
        DeclarationError, match=rf"nowhere/app.py: no such file in {tmp_path}; name the one that .* app$"
    ):
        Target("nowhere/app.py")
    with pytest.raises(
        DeclarationError,
        match=rf"no.where: there is no module 'no', in {tmp_path} or among what is installed, and no such file or folder",
    ):
        Target("no.where").load()


def test_a_file_that_is_no_python(tmp_path: Path) -> None:
    for name, said in (
        ("notes.txt", r"notes\.txt: expected a file of Python \(\.py\) that declares the app$"),
        (
            "model.ipynb",
            r"model\.ipynb: expected a file of Python .*; `jupyter nbconvert --to script .*` makes a start$",
        ),
    ):
        (tmp_path / name).write_text("{}")
        with pytest.raises(DeclarationError, match=said):
            Target(str(tmp_path / name))


def test_a_name_that_cannot_be_imported(write: Write, tmp_path: Path) -> None:
    write("my.app.py", APP.format(name="Band"))
    with pytest.raises(DeclarationError, match=r"'my.app' has a dot, .*; rename it"):
        Target("my.app.py")
    write("v1.2/app.py", APP.format(name="Band"))
    assert Target("v1.2").root == tmp_path / "v1.2", "it is no package"
    write("v1.2/__init__.py", "")
    with pytest.raises(DeclarationError, match=r"'v1.2' has a dot"):
        Target("v1.2")


def test_files_that_might_have_been_meant_are_named(write: Write) -> None:
    write("band.py", APP.format(name="Band"))
    write("apps/choir/songs.py", APP.format(name="Choir"))
    write("notes.py", "# an @app stands here")
    with pytest.raises(DeclarationError, match=r"or its module, as in 'apps/choir/songs\.py' or 'band\.py'$"):
        Target("bnad").load()
    with pytest.raises(DeclarationError, match=r"bnad\.py: no such file .*, as in .*'band\.py'$"):
        Target("bnad.py")
    with pytest.raises(DeclarationError, match=r"choir: the folder has no app\.py; .*, as in 'apps/choir/songs\.py'$"):
        Target("apps/choir")


def test_a_module_of_a_package_that_lacks_it(write: Write) -> None:
    name = unique()
    write(f"{name}/__init__.py", "")
    with pytest.raises(DeclarationError, match=rf"there is no module '{name}.app', in"):
        Target(f"{name}.app").load()


def test_a_module_that_the_app_itself_lacks_is_an_error_of_its_own(write: Write) -> None:
    name = unique()
    write(f"{name}.py", "import no_such_library")
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        Target(f"{name}.py").load()


@pytest.mark.parametrize("configured", [True, False])
def test_a_module_that_sets_up_structlog_does_not_change_the_log_of_all(write: Write, configured: bool) -> None:
    """Where we have set it up: as what it logged by there would be lost, or come back to it without an end."""
    name = unique()
    write(f"{name}.py", f"import structlog\nstructlog.configure(processors=[])\n{APP.format(name='Band')}")
    before = structlog.get_config()
    try:
        if configured:
            structlog.configure()
        else:
            structlog.reset_defaults()
        Target(f"{name}.py").load()
        assert bool(structlog.get_config()["processors"]) is configured
    finally:
        structlog.configure(**before)


def test_what_cannot_be_read_is_not_what_was_meant(write: Write, tmp_path: Path) -> None:
    write("band.py", APP.format(name="Band"))
    (tmp_path / "nowhere.py").symlink_to("gone.py")
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(DeclarationError, match=r"as in 'band\.py'$"):
        Target("bnad.py")


def test_two_files_of_one_name_are_not_mixed_up(write: Write) -> None:
    name = unique()
    write(f"a/{name}.py", APP.format(name="First"))
    write(f"b/{name}.py", APP.format(name="Second"))
    assert Target(f"a/{name}.py").load().name == "First"
    with pytest.raises(
        DeclarationError, match=rf"a module '{name}' was already imported from .*/a/{name}.py; give the"
    ):
        Target(f"b/{name}.py").load()

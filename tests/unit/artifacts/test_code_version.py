"""The code on a machine has the version that a release made of it would have."""

from __future__ import annotations

from pathlib import Path

from kapelle.artifacts.code_version import version_of
from kapelle.artifacts.folder_objects import FolderObjects
from kapelle.artifacts.releases import Releases
from kapelle.declare.code import Code


def code(folder: Path, **files: str) -> Code:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return Code("app.py", {f"{name}.py": folder / f"{name}.py" for name in files})


def test_it_is_that_of_a_release_of_it(tmp_path: Path) -> None:
    ours = code(tmp_path / "ours", app="x = 1", parts="y = 2")
    (tmp_path / "artifacts").mkdir()
    release, _ = Releases(FolderObjects(tmp_path / "store")).build(
        "App", tmp_path / "artifacts", [], lambda _: None, code=ours
    )
    assert version_of(ours) == release.manifest.code
    assert len(version_of(ours)) == 12


def test_only_what_the_files_say_counts(tmp_path: Path) -> None:
    ours = version_of(code(tmp_path / "ours", app="x = 1", parts="y = 2"))
    assert version_of(code(tmp_path / "theirs", parts="y = 2", app="x = 1")) == ours
    assert version_of(code(tmp_path / "changed", app="x = 1", parts="y = 3")) != ours
    assert version_of(code(tmp_path / "fewer", app="x = 1")) != ours

"""Which files of an app go into which of its images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kapelle.declare.code import Code, code_of
from kapelle.declare.loading import Target
from kapelle.deploy.imports import imports_of

BUILDER = "build.py"
TESTS = "tests"
ARTIFACTS = "artifacts"
_OF_NO_USE = {"__pycache__", "node_modules", ARTIFACTS, TESTS}


@dataclass(frozen=True, slots=True)
class AppFiles:
    """Files by their path below the folder that modules are imported from, which is /app in an image.

    ``code`` is what a release takes along, and all that serves: data belongs to artifacts. ``release`` is what a release
    is made of besides: the builder, the modules that it alone needs, and the data in the app's folder; where there is no
    builder, the folder of artifacts. ``tests`` are the app's own. ``place`` names the app there, as TARGET of commands;
    ``folder`` is where its file is, with a slash behind, or empty.
    """

    place: str
    folder: str
    code: Code
    release: dict[str, Path]
    tests: dict[str, Path]


def files_of(target: Target) -> AppFiles:
    """The files of an app, which must have been loaded.

    Raises:
        DeclarationError: its Python files are too many to be the code of one app.
    """
    root, folder = target.root.resolve(), target.folder.resolve()
    code = code_of(target)
    builder = folder / BUILDER
    if builder.is_file():
        made_of = {*imports_of(builder, root), *_data(folder)}
    else:
        made_of = {path for path in (folder / ARTIFACTS).rglob("*") if path.is_file()}
    release = {name: path for name, path in _below(root, made_of) if name not in code.files}
    tests = dict(_below(root, {*_all(folder / TESTS)}))
    has_tests = any(path.name.startswith("test_") and path.suffix == ".py" for path in tests.values())
    inside = folder.relative_to(root).as_posix()
    return AppFiles(_place(code), "" if inside == "." else f"{inside}/", code, release, tests if has_tests else {})


def _place(code: Code) -> str:
    """How the app is named in /app: by its folder where that says enough, as people do."""
    file, colon, name = code.entry.partition(":")
    folder, _, last = file.rpartition("/")
    return (folder if folder and last == "app.py" else file) + colon + name


def _data(folder: Path) -> Iterator[Path]:
    """What lies in an app's folder besides code: neither made, nor hidden, nor about the app only."""
    return (path for path in _all(folder) if path.suffix not in {".py", ".md"} and not _is_list(path))


def _is_list(path: Path) -> bool:
    return path.name.startswith("requirements") and path.suffix == ".txt"


def _all(folder: Path) -> Iterator[Path]:
    """The files in a folder and below, without environments, caches and what is hidden."""
    for parent, below, names in os.walk(folder):
        below[:] = [one for one in below if one not in _OF_NO_USE and not _is_foreign(Path(parent, one))]
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def _is_foreign(folder: Path) -> bool:
    return folder.name.startswith(".") or (folder / "pyvenv.cfg").is_file()


def _below(root: Path, paths: set[Path]) -> list[tuple[str, Path]]:
    return [(path.relative_to(root).as_posix(), path) for path in sorted(paths) if path.is_relative_to(root)]

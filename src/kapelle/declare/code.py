"""The files that an app's code consists of: what a release takes along so that every process runs the same."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from kapelle.declare.loading import Target
from kapelle.errors import DeclarationError

_MOST_FILES = 2000
_MOST_BYTES = 16 << 20
_BUILDER = "build.py"
_TESTS = "tests"


@dataclass(frozen=True, slots=True)
class Code:
    """``entry`` names the app below the folder that the modules are imported from; ``files`` are by their path there."""

    entry: str
    files: dict[str, Path]


def code_of(target: Target) -> Code:
    """The modules of an app: those in the folder of its file, and whatever it imports from the folder that is in.

    Only Python files: data of an app belongs into artifacts. Its builder and its own tests, in the folder ``tests`` beside
    its file, are no part of it. The app must have been loaded.

    Raises:
        DeclarationError: they are too many or too large to be the code of one app.
    """
    root, folder = target.root.resolve(), target.folder.resolve()
    tests = folder / _TESTS
    found = {path for path in _below(folder) if path.name != _BUILDER and not path.is_relative_to(tests)}
    found |= _imported(root)
    found |= {path for one in [*found] for path in _packages(one, root)}
    files = {path.relative_to(root).as_posix(): path for path in sorted(found) if path.is_relative_to(root)}
    size = sum(path.stat().st_size for path in files.values())
    if len(files) > _MOST_FILES or size > _MOST_BYTES:
        raise DeclarationError(
            f"{target.text}: {len(files)} Python files of {size >> 20} MiB in {folder} and below; the code of an app is "
            f"{_MOST_FILES} files and {_MOST_BYTES >> 20} MiB at most: give it a folder of its own"
        )
    name = f":{target.class_name}" if target.class_name else ""
    module = sys.modules[target.module].__file__ or ""
    return Code(Path(module).resolve().relative_to(root).as_posix() + name, files)


def _below(folder: Path) -> set[Path]:
    """The Python files in a folder, and in the packages below it."""
    # A link to nowhere is no module: an editor leaves such a one beside a file that has unsaved changes.
    found = {path for path in folder.glob("*.py") if path.is_file()}
    for path in folder.iterdir():
        if (path / "__init__.py").is_file() and not path.is_symlink():
            found |= _below(path)
    return {path.resolve() for path in found}


def _imported(root: Path) -> set[Path]:
    """The modules that were imported from ``root`` by their path below it, so not those of installed packages."""
    found: set[Path] = set()
    for name, module in list(sys.modules.items()):
        origin = getattr(module, "__file__", None)
        below = root.joinpath(*name.split("."))
        if origin and Path(origin) in (below.with_suffix(".py"), below / "__init__.py"):
            found.add(Path(origin))
    return found


def _packages(path: Path, root: Path) -> set[Path]:
    """The ``__init__.py`` of every package that a file is in."""
    folders = [folder for folder in path.parents if folder.is_relative_to(root)]
    return {folder / "__init__.py" for folder in folders if (folder / "__init__.py").is_file()}

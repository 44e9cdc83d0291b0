"""The modules that a file needs, read from its text: nothing is run, and what is imported late counts, too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path


def imports_of(file: Path, root: Path) -> set[Path]:
    """The Python files below ``root`` that ``file`` needs, itself and the packages they are in included.

    Modules of installed packages do not count: only what lies at its dotted name below ``root``. A file that cannot be
    parsed needs nothing: whoever runs it will be told.
    """
    found: set[Path] = set()
    waiting = [file.resolve()]
    root = root.resolve()
    while waiting:
        one = waiting.pop()
        if one in found:
            continue
        found.add(one)
        package = one.parent.relative_to(root).parts if one.is_relative_to(root) else ()
        for name in _names(one, package):
            waiting += _files(name, root)
    return found


def _names(file: Path, package: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The dotted names that may be modules: of ``from a import b`` both a and a.b."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (tuple(one.name.split(".")) for one in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = (*package[: len(package) - level + 1],) if level else ()
                base += tuple((module or "").split(".")) if module else ()
                yield base
                yield from ((*base, one.name) for one in names)


def _files(name: tuple[str, ...], root: Path) -> list[Path]:
    """The file of a module below ``root`` and the packages it is in; none where there is no such module."""
    place = root.joinpath(*name)
    own = [path for path in (place.with_suffix(".py"), place / "__init__.py") if name and path.is_file()]
    packages = [root.joinpath(*name[:end], "__init__.py") for end in range(1, len(name))]
    return [path.resolve() for path in [*own, *packages] if own and path.is_file()]

"""What a file imports is read from its text: early, late, by package and relatively."""

from __future__ import annotations

from pathlib import Path

from kapelle.deploy.imports import imports_of


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_all_ways_to_import_are_followed(tmp_path: Path) -> None:
    write(
        tmp_path,
        a__b__build="import json, a.far\nfrom a.b import near\ndef late():\n    from .lazy import x\n    from ..up import y",
        a__far="import missing",
        a__up="",
        a__b__near="from a.b import near",
        a__b__lazy="def (",
        a__b__unused="",
    )
    (tmp_path / "a" / "__init__.py").touch()
    found = imports_of(tmp_path / "a" / "b" / "build.py", tmp_path)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in found) == [
        "a/__init__.py", "a/b/build.py", "a/b/lazy.py", "a/b/near.py", "a/far.py", "a/up.py",
    ]  # fmt: skip

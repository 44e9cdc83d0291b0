"""The project's files as the house rules see them: text, comments by line, syntax tree."""

from __future__ import annotations

import ast
import io
import os
import tokenize
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOREIGN = {".venv", ".peers", ".hypothesis", ".kapelle", "__pycache__", "node_modules"}


@dataclass(frozen=True)
class Source:
    """One Python file. ``where`` names it in messages."""

    where: str
    text: str

    @cached_property
    def lines(self) -> list[str]:
        """The lines of the file; line 1 is at index 0."""
        return self.text.splitlines()

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return ast.parse(self.text)

    @cached_property
    def comments(self) -> dict[int, str]:
        """Comments by line number; what looks like one inside a string is none."""
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        return {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}

    def has_comment_above(self, line: int) -> bool:
        """Whether the line before is a comment and nothing else."""
        return line > 1 and self.lines[line - 2].lstrip().startswith("#")

    def at(self, line: int) -> str:
        """The place, as editors and terminals link it."""
        return f"{self.where}:{line}"


def sources(*folders: str) -> list[Source]:
    """The Python files under these folders of the repository."""
    return [Source(str(path.relative_to(ROOT)), path.read_text()) for path in files("*.py", *folders)]


def files(pattern: str, *folders: str) -> list[Path]:
    """The files whose name matches, without those of environments, caches and builds."""
    found = []
    for folder in folders:
        for parent, below, names in os.walk(ROOT / folder):
            built = "artifacts" if Path(parent).parent == ROOT / "apps" else None
            below[:] = [name for name in below if name not in FOREIGN and name != built]
            found += [Path(parent, name) for name in names if fnmatch(name, pattern)]
    return sorted(found)


def report(found: list[str], *, mend: str) -> None:
    """Fail with all places at once, and say how to mend them."""
    if found:
        pytest.fail("\n".join([*found, f"How to mend: {mend}."]), pytrace=False)

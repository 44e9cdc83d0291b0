"""Runs the code of a Markdown document, so that what it shows is what happens.

Fenced blocks, in their order, in a temporary folder of the document's own:

- ``python title="app.py"`` and ``toml title="kapelle.toml"`` are written to that file;
- ``python`` runs, in one namespace per document, with ``await`` at its top level allowed;
- ``python fragment`` stands out of its context: it only has to parse;
- ``console`` has commands after ``$ `` and below each what it prints, ``...`` standing for any text;
- ``console server`` is another terminal, with a command that stays: the document goes on when it has printed what is
  shown. At the next such block, or at the end, it gets Ctrl-C and has to exit with 0.

All else (``sh``, ``json``, ``text``) is only read. The default ports, 8080 and 8081, stand for free ones.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.docs.shell import Shell

_FENCE = re.compile(
    r"^(?P<indent> *)(?P<fence>`{3,})(?P<info>[^\n`]*)\n(?P<code>.*?)^ *(?P=fence) *$",
    re.MULTILINE | re.DOTALL,
)
_TITLE = re.compile(r'title="([^"]+)"')


@dataclass(frozen=True)
class Block:
    """A fenced block: ``words`` are its language and what follows it, ``line`` is that of its first line of code."""

    words: tuple[str, ...]
    title: str | None
    code: str
    line: int


def blocks(markdown: str) -> Iterator[Block]:
    """The fenced blocks of a document, those inside lists without their indentation."""
    for found in _FENCE.finditer(markdown):
        title = _TITLE.search(found["info"])
        words = tuple(_TITLE.sub("", found["info"]).split())
        code = "".join(line.removeprefix(found["indent"]) for line in found["code"].splitlines(keepends=True))
        yield Block(words, title[1] if title else None, code, markdown.count("\n", 0, found.start("code")) + 1)


@dataclass
class Document:
    """A document while it runs. ``name`` and line appear in tracebacks and failures."""

    name: str
    folder: Path
    shell: Shell
    runner: asyncio.Runner
    namespace: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})

    def run(self, markdown: str) -> None:
        """Run all blocks, and fail at the first that does not do what the document says."""
        for block in blocks(markdown):
            self._run(block)
        self.shell.close()

    def _run(self, block: Block) -> None:
        match block.words:
            case ("python" | "toml", *_) if block.title:
                path = self.folder / block.title
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.code)
            case ("python",):
                self._execute(block)
            case ("python", "fragment"):
                ast.parse(block.code, self.name)
            case ("python", *unknown):
                pytest.fail(f'{self.name}:{block.line}: expected title="..." or fragment after python, not {unknown}')
            case ("console",):
                self.shell.session(block.code, f"{self.name}:{block.line}")
            case ("console", "server"):
                self.shell.close()
                self.shell.server(block.code, f"{self.name}:{block.line}")
            case ("console", *unknown):
                pytest.fail(f"{self.name}:{block.line}: expected nothing or server after console, not {unknown}")
            case _:
                pass

    def _execute(self, block: Block) -> None:
        # Empty lines before it give the code the line numbers of the document.
        source = "\n" * (block.line - 1) + self.shell.localised(block.code)
        code = compile(source, self.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if code.co_flags & inspect.CO_COROUTINE:
            self.runner.run(eval(code, self.namespace))
        else:
            exec(code, self.namespace)


def forget_modules(folder: Path) -> None:
    """Let the next document import its own ``app``, not this one's."""
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]

"""A small app, served by the real command in a folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

KAPELLE = str(Path(sys.executable).with_name("kapelle"))

APP = '''
from collections.abc import AsyncIterator

import kapelle


@kapelle.service(replicas=2)
class Words:
    """Of words."""

    @kapelle.batched(max_size=8)
    def upper(self, words: list[str]) -> list[str]:
        return [word.upper() for word in words]

    @kapelle.method
    def repeat(self, word: str, times: int = 2) -> str:
        if times < 0:
            raise ValueError("a negative number of times")
        if times > 9:
            raise kapelle.InvalidInput("expected at most 9", path="times")
        return word * times

    @kapelle.method
    async def letters(self, word: str | None) -> AsyncIterator[str]:
        for letter in word or "":
            yield letter


@kapelle.service(inline=True)
class Inner:
    @kapelle.method
    def same(self, word: str) -> str:
        return word


@kapelle.app
class Speaker:
    words: Words
    inner: Inner

    @kapelle.post("/upper")
    async def upper(self, word: str) -> str:
        return await self.words.upper(word)
'''


@dataclass
class Served:
    """A running ``kapelle serve app.py``: its folder, its process and what it has printed until it was ready."""

    folder: Path
    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return next(line.split()[-1] for line in self.lines if " is ready at " in line)

    def read_until(self, text: str) -> None:
        """Read what it prints up to the line that holds ``text``."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if text in line:
                return
        raise AssertionError(f"it ended without {text!r}; it had printed:\n" + "\n".join(self.lines))


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Served]:
    """``kapelle serve app.py`` in ``folder``; at the end it gets Ctrl-C and has to exit with 0, unless it was killed."""
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(
            [KAPELLE, "serve", "app.py", *options],
            cwd=folder,
            env={**os.environ, "KAPELLE_PORT": "0", "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    served = Served(folder, process)
    try:
        served.read_until("stop  Ctrl-C")
        yield served
    finally:
        # What a killed controller leaves behind holds the other end of the pipe: its end would not be seen.
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            served.lines += process.communicate(timeout=30)[0].splitlines()
        assert process.stdout is not None
        process.stdout.close()
    assert process.returncode in (0, -signal.SIGKILL), "\n".join(served.lines)

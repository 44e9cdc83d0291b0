"""A terminal as documents show it: commands after ``$ ``, below each what it prints."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kapelle.transport.door import open_door

PATIENCE = 30.0  # seconds for one command, or for a background command to print what is shown or to end


class Background:
    """A command that goes on; its output is collected while it runs."""

    def __init__(self, command: str, folder: Path, environment: dict[str, str]) -> None:
        self.command = command
        self.output = ""
        self._changed = threading.Condition()
        self._ended = False
        # A process group of its own, as in a terminal: Ctrl-C reaches all that the command started.
        self._process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, expected: re.Pattern[str]) -> bool:
        """Whether the output comes to match before the command ends or patience does."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or expected.search(self.output), PATIENCE)
            return bool(expected.search(self.output))

    def stop(self) -> int:
        """Press Ctrl-C; returns the exit status, -9 if it had to be killed. One that the document killed is fine."""
        if self._process.poll() == -signal.SIGKILL:
            # What it leaves behind may hold the pipe's other end; the reader ends when that is gone.
            return 0
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
        try:
            # A kill of the document's own may take effect only now.
            status = self._process.wait(PATIENCE)
            return 0 if status == -signal.SIGKILL else status
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            return self._process.wait()
        finally:
            self._reader.join()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                with self._changed:
                    self.output += line
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


def _free_port() -> int:
    """A port that nothing listens on right now, nor on the one after it."""
    with open_door("127.0.0.1", 0) as door:
        return int(door.getsockname()[1])


@dataclass
class Shell:
    """Runs sessions in ``folder``, with .venv's programs first on the path."""

    folder: Path
    port: int = field(default_factory=_free_port)
    background: list[Background] = field(default_factory=list)

    def localised(self, text: str) -> str:
        """``text`` with the free ports in place of the default ones."""
        return text.replace("8080", str(self.port)).replace("8081", str(self.port + 1))

    def session(self, text: str, where: str) -> None:
        """Run the commands of one block and compare what they print with what is shown."""
        for command, shown in commands(self.localised(text)):
            self._run(command, shown, where)

    def server(self, text: str, where: str) -> None:
        """Run the commands of one block of which the last one stays; return when it has printed what is shown."""
        *before, (command, shown) = commands(self.localised(text))
        for each in before:
            self._run(*each, where)
        self._start(command, shown, where)

    def close(self) -> None:
        """End what runs in the background, and fail if one does not end as it should."""
        running, self.background = self.background, []
        ended = [(each, each.stop()) for each in reversed(running)]
        for each, status in ended:
            if status:
                pytest.fail(f"`{each.command}` exited with {status} after Ctrl-C; it had printed:\n{each.output}")

    def _run(self, command: str, shown: str, where: str) -> None:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if done.returncode:
            pytest.fail(f"{where}: `{command}` exited with {done.returncode}; it printed:\n{done.stdout}{self._others}")
        if shown and not pattern(shown, whole=True).search(done.stdout.strip()):
            pytest.fail(f"{where}: `{command}` printed\n{done.stdout}\nbut the document shows\n{shown}{self._others}")

    def _start(self, command: str, shown: str, where: str) -> None:
        background = Background(command, self.folder, self._environment)
        self.background.append(background)
        if not background.wait_for(pattern(shown, whole=False)):
            pytest.fail(f"{where}: `{command}` printed\n{background.output}\nbut the document shows\n{shown}")

    @property
    def _environment(self) -> dict[str, str]:
        programs = str(Path(sys.executable).parent)
        path = os.pathsep.join([programs, os.environ["PATH"]])
        return {**os.environ, "PATH": path, "KAPELLE_PORT": str(self.port), "PYTHONUNBUFFERED": "1"}

    @property
    def _others(self) -> str:
        return "".join(f"\n`{each.command}` has printed:\n{each.output}" for each in self.background)


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Pairs of a command and what is shown below it; a command goes on after a backslash or with ``> ``."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        length = 1
        while length < len(lines) and (lines[length - 1].endswith("\\") or lines[length].startswith("> ")):
            length += 1
        yield "\n".join(line.removeprefix("> ") for line in lines[:length]), "\n".join(lines[length:]).strip()


def pattern(shown: str, *, whole: bool) -> re.Pattern[str]:
    """What a document shows, as a pattern: ``...`` is any text, runs of blanks are equal."""
    words = [r"\s+".join(map(re.escape, part.split())) for part in shown.split("...")]
    text = r"\s*.*?\s*".join(words)
    return re.compile(rf"\A\s*{text}\s*\Z" if whole else text, re.DOTALL)

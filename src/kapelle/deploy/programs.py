"""Other people's command lines: docker, kubectl. What they say when they fail is what the user gets to see."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kapelle.errors import DeployError

Say = Callable[[str], None]
"""Where progress goes, a line at a time."""

_SHOWN = 12
"""Lines of a failure that are repeated."""
_READING = 30.0
"""Seconds for a log."""


class Program:
    """A program by its name; ``hint`` is the next step where it is missing."""

    def __init__(self, name: str, hint: str) -> None:
        self.name = name
        self._hint = hint

    def run(self, *arguments: str, folder: Path | None = None, timeout: float = 3600.0) -> str:
        """What it prints; blocks for at most ``timeout`` seconds.

        Raises:
            DeployError: it is missing, takes too long, or fails; the message has the last lines that it wrote.
        """
        done = self._done(arguments, folder, timeout)
        if done.returncode:
            raise self.failure(arguments, done.stderr or done.stdout)
        return done.stdout

    def log(self, *arguments: str) -> str:
        """What it prints for a log, whose lines are on both streams; empty where it fails."""
        try:
            done = self._done(arguments, None, _READING)
        except DeployError:
            return ""
        return "" if done.returncode else done.stdout + done.stderr

    def succeeds(self, *arguments: str, timeout: float = 60.0) -> bool:
        """Whether it exits with 0.

        Raises:
            DeployError: it is missing or takes too long.
        """
        return self._done(arguments, None, timeout).returncode == 0

    def records(self, *arguments: str, folder: Path | None = None) -> list[dict[str, Any]]:
        """The JSON objects that it prints: one in each line, or an array of all.

        Raises:
            DeployError: as for ``run``.
        """
        text = self.run(*arguments, folder=folder).strip()
        if text.startswith("["):
            found: list[dict[str, Any]] = json.loads(text)
            return found
        return [json.loads(line) for line in text.splitlines() if line.strip()]

    def path(self) -> str:
        """Where it lies.

        Raises:
            DeployError: it is missing.
        """
        found = shutil.which(self.name)
        if found is None:
            raise DeployError(f"there is no {self.name} on this machine; {self._hint}")
        return found

    def failure(self, arguments: Sequence[str], said: str) -> DeployError:
        """That a command failed, with the end of what it said."""
        return DeployError(f"`{self._shown(arguments)}` failed: {last_lines(said)}")

    def _done(
        self, arguments: tuple[str, ...], folder: Path | None, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        path = self.path()
        try:
            return subprocess.run(  # noqa: S603 - that is what is asked for, and no shell reads the arguments
                [path, *arguments], cwd=folder, capture_output=True, text=True, errors="replace", check=False,
                timeout=timeout, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise DeployError(
                f"`{self._shown(arguments)}` took longer than {timeout:g} s; look at what the engine does"
            ) from None

    def _shown(self, arguments: Sequence[str]) -> str:
        return " ".join([self.name, *arguments[:3]])


def last_lines(text: str) -> str:
    """The end of what a program wrote, for a message."""
    said = (_in_words(line.rstrip()) for line in text.strip().splitlines() if line.strip())
    lines = list(dict.fromkeys(said))  # a container that starts again and again says the same each time
    return lines[0] if len(lines) == 1 else "\n  ".join(["", *lines[-_SHOWN:]]).rstrip() or "it said nothing"


def _in_words(line: str) -> str:
    """A line of a log: of one in JSON what happened, and how the traceback ends."""
    try:
        record = json.loads(line)
    except ValueError:
        return line
    if not isinstance(record, dict) or "event" not in record:
        return line
    details = [str(record[name]) for name in ("reason", "error") if name in record]
    if "exception" in record:
        details += str(record["exception"]).strip().splitlines()[-1:]
    return ": ".join([str(record["event"]), *details])


def kubectl() -> Program:
    """The command line of Kubernetes."""
    return Program("kubectl", "install it: https://kubernetes.io/docs/tasks/tools")

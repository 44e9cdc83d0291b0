"""What an engine notices, as it happens: tests wait for it instead of asking again and again."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import msgspec

from tests.containers.docker import Docker, DockerFailed

Event = dict[str, Any]


class Events:
    """The events that pass the filter, from when this was entered."""

    def __init__(self, docker: Docker, filters: str) -> None:
        self._docker = docker
        self._filters = filters
        self._lines = b""

    def __enter__(self) -> Self:
        # Events since this moment are told even when the engine hears the question later.
        began = f"{time.time():.9f}"
        command = ("events", "--format", "json", "--since", began, "--filter", self._filters)
        self._process = self._docker.start(*command, stdout=subprocess.PIPE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def wait(self, wanted: Callable[[Event], bool], *, within: float) -> Event:
        """The next event that is wanted; those before it are dropped.

        Raises:
            DockerFailed: there was none in time.
        """
        deadline = time.monotonic() + within
        seen = []
        while line := self._line(deadline):
            event = msgspec.json.decode(line)
            if wanted(event):
                return dict(event)
            seen.append(line.decode())
        raise DockerFailed("\n".join([f"no such event within {within:g} s; there were:", *(seen or ["none"])]))

    def _line(self, deadline: float) -> bytes:
        """The next line; none when the time is over."""
        assert self._process.stdout is not None
        while b"\n" not in self._lines:
            heard, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            more = os.read(self._process.stdout.fileno(), 65536) if heard else b""
            if not more:
                return b""
            self._lines += more
        line, _, self._lines = self._lines.partition(b"\n")
        return line

"""A system of real processes under a controller that lives in the test."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import httpx

from kapelle.artifacts.stores import open_objects
from kapelle.config.settings import Settings
from kapelle.control.beginning import arrange
from kapelle.control.conductor import Conductor
from kapelle.control.controller import Controller
from kapelle.control.plan import Stock
from kapelle.control.process import Process
from kapelle.control.rundir import RunDir
from kapelle.declare.apps import AppSpec
from kapelle.errors import StartError


class ProcessSystem:
    """A running system. ``controller`` may be looked into; the processes are real."""

    def __init__(self, target: str, spec: AppSpec, settings: Settings, artifacts: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="kapelle-")
        folder = Path(self._folder.name)
        self.run = RunDir(folder / "run")
        try:
            stock = Stock(artifacts, settings.store, folder / "cache")
            objects = open_objects(settings.store) if settings.store else None
            what = arrange(target, spec, settings, stock, objects, runs=False)
        except BaseException:  # what was refused leaves nothing behind
            self._folder.cleanup()
            raise
        self.controller = Controller(what.plan, self.run, self._note, what.conductor, what.beside)
        self.progress: list[str] = []
        self.outcomes: list[str] = []
        """After ``stop``: what did not end well."""
        self._client: httpx.AsyncClient | None = None

    @property
    def url(self) -> str:
        return self.controller.url

    @property
    def client(self) -> httpx.AsyncClient:
        """An HTTP client of the gateways."""
        if self._client is None:
            self._client = httpx.AsyncClient(base_url=self.url, timeout=30.0, trust_env=False)
        return self._client

    @property
    def conductor(self) -> Conductor:
        """What changes the release; there is one when the system has a ``store``."""
        assert self.controller.conductor is not None, "the system has no store"
        return self.controller.conductor

    @property
    def processes(self) -> list[str]:
        """The names of all processes."""
        return list(self.controller.processes)

    async def start(self) -> None:
        """Start everything; returns when all of it is ready.

        Raises:
            StartError: a process keeps crashing; nothing is left running.
        """
        try:
            await self.controller.start()
            if not await self.controller.ready_or_failed():
                raise StartError(f"the system did not start: {self.controller.failure}")  # noqa: TRY301 - what follows cleans up after this error too
        except BaseException:  # a cancelled or interrupted test leaves no processes behind either
            await self.stop()
            raise

    async def stop(self) -> None:
        """Drain and end everything."""
        if self._client is not None:
            await self._client.aclose()
        self.outcomes = await self.controller.stop()
        self._folder.cleanup()

    def process(self, name: str) -> Process:
        """A process by its name."""
        return self.controller.processes[name]

    def signal(self, process: str, number: signal.Signals) -> int:
        """Send a signal to a process: SIGKILL, SIGSTOP, SIGCONT, SIGTERM. Returns the number of the process."""
        pid = self.process(process).pid
        os.kill(pid, number)
        return pid

    def kill(self, process: str) -> int:
        """End a process without warning. Returns the number it had."""
        return self.signal(process, signal.SIGKILL)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when ``condition`` holds; it is looked at whenever the controller notices a change."""
        await self.controller.until(condition)

    async def restarted(self, process: str, pid: int) -> None:
        """Return when ``process`` serves again, under another number than ``pid``."""

        def serves() -> bool:
            found = self.controller.processes.get(process)
            return found is not None and found.life.usable and found.pid not in (0, pid)

        await self.until(serves)

    def _note(self, line: str) -> None:
        self.progress.append(line)

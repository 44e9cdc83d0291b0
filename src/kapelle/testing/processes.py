"""A system of real processes under a controller that lives in the test."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import httpx

from kapelle.config.settings import Settings
from kapelle.control.controller import Controller
from kapelle.control.plan import make_plan
from kapelle.control.rundir import RunDir
from kapelle.declare.apps import AppSpec
from kapelle.errors import StartError


class ProcessSystem:
    """A running system. ``controller`` may be looked into and shut down; the processes are real."""

    def __init__(self, target: str, spec: AppSpec, settings: Settings, artifacts: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="kapelle-")
        self.run = RunDir(Path(self._folder.name) / "run")
        self.controller = Controller(make_plan(target, spec, settings, artifacts), self.run, self._note)
        self.progress: list[str] = []
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
    def processes(self) -> list[str]:
        """The names of all processes."""
        return list(self.controller.processes)

    async def start(self) -> None:
        """Start everything; returns when all of it is ready.

        Raises:
            StartError: a process keeps crashing.
        """
        await self.controller.start()
        await self.controller.ready_or_failed()
        if not self.controller.ready.is_set():
            await self.controller.stop()
            raise StartError("the system did not start; its log says why")

    async def stop(self) -> None:
        """Drain and end everything."""
        if self._client is not None:
            await self._client.aclose()
        await self.controller.stop()
        self._folder.cleanup()

    def signal(self, process: str, number: signal.Signals) -> None:
        """Send a signal to a process: SIGKILL, SIGSTOP, SIGCONT, SIGTERM."""
        os.kill(self.controller.processes[process].pid, number)

    def kill(self, process: str) -> None:
        """End a process without warning."""
        self.signal(process, signal.SIGKILL)

    def _note(self, line: str) -> None:
        self.progress.append(line)

"""A system in one process, in the hands of a test: reached over HTTP, its replicas lost and brought back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx

from kapelle.config.settings import Settings
from kapelle.declare.apps import AppSpec
from kapelle.inprocess.system import System
from kapelle.testing.faults import Faults
from kapelle.transport.connection import Connection
from kapelle.worker.server import Worker


class MemorySystem(System):
    """A running system. ``app`` is the app's instance, its handles live; ``client`` talks HTTP to it.

    Replicas are called as in a real system: ``Encoder-0``, ``Encoder-1``.
    """

    def __init__(self, spec: AppSpec, settings: Settings, artifacts: Path) -> None:
        super().__init__(spec, settings, artifacts)
        self.faults = Faults(self._names)
        self.url = ""
        self._server: asyncio.Server | None = None
        self._client: httpx.AsyncClient | None = None

    @property
    def client(self) -> httpx.AsyncClient:
        """An HTTP client of the gateway."""
        if self._client is None:
            self._client = httpx.AsyncClient(base_url=self.url, timeout=30.0, trust_env=False)
        return self._client

    async def start(self) -> None:
        """Start everything; returns when all of it is ready.

        Raises:
            StartError: user code ends the process instead of starting.
        """
        await super().start()
        self._server = await asyncio.get_running_loop().create_server(self.gateway.connection, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Drain and end everything that was started."""
        if self._client is not None:
            await self._client.aclose()
        if self._server is not None:
            self._server.close()
        await super().stop()

    async def kill(self, replica: str) -> None:
        """End a replica without warning: its connections break and nobody listens any more."""
        self._running(replica)
        self._take(replica).abort()

    async def drain(self, replica: str) -> None:
        """End a replica in good order: it refuses new calls, and finishes those it has."""
        worker = self._running(replica)
        await worker.drain(self.settings.drain_timeout)
        self._take(replica)
        await worker.close()

    async def restart(self, replica: str) -> None:
        """Bring a replica back that was killed or drained; it takes calls when ``ready`` returns."""
        if replica in self._workers:
            raise ValueError(f"replica {replica!r} runs; kill or drain it first")
        plan = next((plan for plan in self._plan.replicas if plan.name == replica), None)
        if plan is None:
            raise ValueError(f"no replica {replica!r}; there are {', '.join(self._names())}")
        await self._start_worker(plan)
        self._announce()

    def _running(self, replica: str) -> Worker:
        worker = self._workers.get(replica)
        if worker is None:
            raise ValueError(f"no replica {replica!r} runs; there are {', '.join(self.replicas) or 'none'}")
        return worker

    async def _connect(self, address: str) -> Connection:
        return self.faults.wrap(address, await super()._connect(address))

"""Streaming methods: the items of an async generator, sent as long as the caller has room for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from kapelle.declare.context import enter_request
from kapelle.wire import messages
from kapelle.worker.execution import Execution
from kapelle.worker.job import Job

class Stream:
    """One running stream."""

    def __init__(self, execution: Execution, instance: Any, job: Job) -> None:
        self._execution = execution
        self._instance = instance
        self._job = job
        self._credit = messages.STREAM_WINDOW
        self._more = asyncio.Event()

    def grant(self, items: int) -> None:
        """The caller has room for ``items`` more."""
        self._credit += items
        self._more.set()

    async def run(self) -> None:
        """Send all items, then the end (or the error)."""
        job = self._job
        enter_request(job.context)
        iterator: AsyncIterator[Any] = self._execution.function(self._instance, *job.arguments)
        try:
            async for value in iterator:
                while self._credit <= 0:
                    self._more.clear()
                    await self._more.wait()
                self._credit -= 1
                data, segments = self._execution.packer(value)
                job.connection.send(messages.encode(messages.Item(job.ticket, data)), segments)
        except Exception as error:  # noqa: BLE001 - user code may raise anything; the caller gets it
            job.failed(error)
        else:
            job.done(self._execution.packer, None)

"""Streaming methods: the items of an async generator, sent as long as the caller has room for them."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

from kapelle.declare.context import enter_request
from kapelle.errors import ContractError, WireError
from kapelle.wire import messages
from kapelle.worker.execution import ENDS, Execution, cancelled_by_itself
from kapelle.worker.job import Job


class Stream:
    """One running stream."""

    def __init__(self, execution: Execution, instance: Any, job: Job) -> None:
        self._execution = execution
        self._instance = instance
        self._job = job
        self._sent = 0
        self._room = messages.STREAM_WINDOW
        self._granted = asyncio.Event()

    def grant(self, items: int) -> None:
        """The caller has room for ``items`` more."""
        self._room += items
        self._granted.set()

    async def run(self) -> None:
        """Send all items, then the end (or the error). The generator is closed when nobody waits for it any more."""
        job = self._job
        enter_request(job.context)
        try:
            async with aclosing(self._execution.function(self._instance, *job.arguments)) as items:
                async for value in items:
                    self._send(value)
                    while self._room <= 0:
                        self._granted.clear()
                        await self._granted.wait()
        except asyncio.CancelledError as error:
            job.failed(cancelled_by_itself(error), items=self._sent)
        except WireError as error:
            job.failed(ContractError(f"an item is too large: {error.detail}"), items=self._sent)
        except ENDS:
            raise
        except BaseException as error:  # noqa: BLE001 - user code may raise anything; the caller gets it
            job.failed(error, items=self._sent)
        else:
            job.done(self._execution.pack, self._sent)

    def _send(self, value: Any) -> None:
        job = self._job
        data, segments = self._execution.pack(value)
        job.asker.send(messages.Item(job.key, data, self._sent), segments)
        self._sent += 1
        self._room -= 1

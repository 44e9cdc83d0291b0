"""Tasks that nobody awaits: an event loop forgets a task that nobody else holds, so these are held until they end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any


class Tasks:
    """The tasks of one owner that have not ended."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[asyncio.Task[None]]:
        return iter(list(self._running))

    def __len__(self) -> int:
        return len(self._running)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin ``work``, on the running loop."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def cancel(self) -> None:
        """Ask all of them to stop."""
        for task in self:
            task.cancel()

    async def ended(self) -> None:
        """Return when those that run now have ended, however they do."""
        await asyncio.gather(*self, return_exceptions=True)


def is_stopped() -> bool:
    """Whether what was raised right now ends the task because somebody wants that, and not because user code raised it.

    That may raise whatever there is, ``CancelledError`` and ``SystemExit`` among it: for whoever has to tell how it went.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def is_closed() -> bool:
    """Whether what was raised right now closes a coroutine that runs no more, and was not raised by user code."""
    try:
        return asyncio.current_task() is None
    except RuntimeError:
        return True  # no event loop runs any more

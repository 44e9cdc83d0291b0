"""The life of a mounted ASGI application: it is told of the start and the stop, and gets back the state it made."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import structlog

from kapelle.errors import StartError
from kapelle.gateway.asgi import Application, Message, Receive, Send

log = structlog.get_logger()


class Living:
    """An application with its lifespan. One that knows of none is served all the same, as ASGI has it."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._state: dict[str, Any] = {}
        self._events: asyncio.Queue[Message] = asyncio.Queue()
        self._answers: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        scope["state"] = self._state.copy()
        await self._application(scope, receive, send)

    async def startup(self) -> None:
        """Tell it of the start.

        Raises:
            StartError: it says that it failed.
        """
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self._state}
        self._task = asyncio.ensure_future(self._application(scope, self._events.get, self._answers.put))
        answer = await self._tell("lifespan.startup")
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            await self._end()
            raise StartError(f"a mounted application did not start: {answer.get('message', '')}")

    async def shutdown(self) -> None:
        """Tell it of the stop, and wait until it is done."""
        if self._task is None:
            return
        answer = await self._tell("lifespan.shutdown")
        if answer is not None and answer["type"] == "lifespan.shutdown.failed":
            log.error("mounted application failed to stop", detail=answer.get("message", ""))
        await self._end()

    async def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _tell(self, event: str) -> Message | None:
        """What it answers; None when it has ended, as those do that know of no lifespan."""
        assert self._task is not None, "startup() comes first"
        self._events.put_nowait({"type": event})
        answer = asyncio.ensure_future(self._answers.get())
        await asyncio.wait({answer, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        answer.cancel()
        return None

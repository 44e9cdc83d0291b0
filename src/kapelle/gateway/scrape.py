"""The metrics of the whole system, collected by the gateway that is asked for them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from kapelle.errors import WireError
from kapelle.gateway.fleet import Fleet
from kapelle.observe.metrics import Family, Registry, merge
from kapelle.transport.connection import Connection
from kapelle.transport.supervision import unpack_families
from kapelle.wire import messages
from kapelle.wire.frames import Frame

TIMEOUT = 1.0
"""Seconds a process has to give its metrics; one that does not is missing from the answer, and counted."""

_decode = messages.Decoder[messages.FromProcess](messages.FromProcess)


class Collector:
    """Asks every process on its control socket; no controller is needed for it."""

    def __init__(
        self,
        name: str,
        registry: Registry,
        fleet: Fleet,
        dial: Callable[[str], Awaitable[Connection]],
        controller: str,
    ) -> None:
        self._name = name
        self._registry = registry
        self._fleet = fleet
        self._dial = dial
        self._controller = controller
        self._missed = registry.counter("kapelle_scrape_failures_total", "Processes that gave no metrics in time.")

    async def collect(self) -> list[Family]:
        """The merged metrics of all processes that answer in time."""
        addresses = [one.control for one in self._fleet.members if one.control and one.name != self._name]
        if self._controller:
            addresses.append(self._controller)
        parts = await asyncio.gather(*map(self._scrape, addresses))
        return merge([self._registry.collect(), *(part for part in parts if part is not None)])

    async def _scrape(self, address: str) -> list[Family] | None:
        answer: asyncio.Future[list[Family]] = asyncio.get_running_loop().create_future()

        def on_frames(frames: list[Frame]) -> None:
            try:
                found = [message for frame in frames if isinstance(message := _decode(frame.head), messages.Scraped)]
                if found and not answer.done():
                    answer.set_result(unpack_families(found[0].samples))
            except WireError as error:
                if not answer.done():
                    answer.set_exception(error)

        def on_lost(reason: str) -> None:
            if not answer.done():
                answer.set_exception(ConnectionError(reason))

        connection: Connection | None = None
        try:
            async with asyncio.timeout(TIMEOUT):
                connection = await self._dial(address)
                connection.start(on_frames, on_lost)
                connection.send(messages.encode(messages.Scrape(0)))
                return await answer
        except (OSError, WireError, TimeoutError):
            self._missed.inc()
            return None
        finally:
            if connection is not None:
                connection.abort()

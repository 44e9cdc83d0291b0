"""A call of the app while it is under way: what is asked of whom, and into what its outcome is put."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from kapelle.core.balance import Balancer
from kapelle.core.ticket import Setback, Ticket
from kapelle.declare.context import RequestContext
from kapelle.declare.methods import CallPolicy
from kapelle.observe.metrics import Histogram
from kapelle.wire.body import Body
from kapelle.wire.payload import Payload

DEFAULT_TIMEOUT = 30.0
"""Seconds a call outside any request may take."""

Unpack = Callable[[Any, Body], Any]


class SetbackError(Exception):
    """An attempt brought no outcome."""

    def __init__(self, kind: Setback, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


class Site:
    """One method of one shard of a release, as a handle calls it: what all its calls have in common.

    ``name`` is for people; ``balancer`` has the replicas that hold the shard.
    """

    def __init__(
        self,
        *,
        name: str,
        method: str,
        release: str,
        shard: int,
        balancer: Balancer,
        policy: CallPolicy,
        unpack: Unpack,
        seconds: Histogram,
    ) -> None:
        self.name = name
        self.method = method
        self.release = release
        self.shard = shard
        self.balancer = balancer
        self.policy = policy
        self.unpack = unpack
        self.seconds = seconds
        self.watched = policy.timeout is not None or policy.hedge is not None


class OpenCall(Ticket):
    """One call, from the first attempt to its one outcome."""

    __slots__ = ("payload", "request", "site", "trace")

    def __init__(self, site: Site, rows: int, payload: Payload, context: RequestContext | None, now: float) -> None:
        policy = site.policy
        deadline = now + DEFAULT_TIMEOUT if context is None else context.deadline
        if policy.timeout is not None:
            deadline = min(deadline, now + policy.timeout)
        super().__init__(deadline=deadline, rows=rows, idempotent=policy.idempotent)
        self.site = site
        self.payload = payload
        self.request, self.trace = ("", "") if context is None else (context.id, context.trace)


class StreamCall(OpenCall):
    """A call whose outcome are items. They are handed out in order, though a small one may overtake a large one."""

    __slots__ = ("_count", "_early", "_next", "_wake", "failure", "ready", "unpack_item")

    def __init__(
        self, site: Site, unpack_item: Unpack, payload: Payload, context: RequestContext | None, now: float
    ) -> None:
        super().__init__(site, 1, payload, context, now)
        self.unpack_item = unpack_item
        self.ready: deque[Any] = deque()
        self.failure: Exception | None = None
        """What ended it, after its items."""
        self._next = 0
        self._early: dict[int, Any] = {}
        self._count: int | None = None
        self._wake = asyncio.Event()

    def put(self, number: int, value: Any) -> None:
        """An item has arrived. What has begun cannot be repeated."""
        self.idempotent = False
        self._early[number] = value
        while self._next in self._early:
            self.ready.append(self._early.pop(self._next))
            self._next += 1
        self._wake.set()

    def attempt(self, replica: str) -> None:
        """It is handed to ``replica``, for which the end that another has told does not count."""
        super().attempt(replica)
        self._count = self.failure = None

    def end(self, count: int, failure: Exception | None = None) -> None:
        """The stream ended after ``count`` items."""
        self._count, self.failure = count, failure

    @property
    def complete(self) -> bool:
        """Whether the end is known and every item has arrived."""
        return self._count is not None and self._next >= self._count

    def wake(self, _: object = None) -> None:
        """Something has happened that ``following`` waits for."""
        self._wake.set()

    async def following(self, end: asyncio.Future[Any]) -> bool:
        """Wait until an item is ``ready``; False when ``end`` says that there are no more.

        Raises:
            SetbackError, CallError: what ended the stream otherwise, once the items before it are taken.
        """
        while not self.ready:
            if end.done():
                try:
                    end.result()
                finally:
                    del end  # what it raises has this frame, which would have it
                return False
            self._wake.clear()
            await self._wake.wait()
        return True


class Outcome(Protocol):
    """Where the outcome of an attempt is put: a future, or a ``Race``."""

    def done(self) -> bool: ...
    def set_result(self, result: Any, /) -> None: ...
    def set_exception(self, exception: Exception, /) -> None: ...


class Race:
    """The outcome of a call of which several copies may run: the first answer counts, a setback only as the last."""

    __slots__ = ("future", "running")

    def __init__(self, future: asyncio.Future[Any]) -> None:
        self.future = future
        self.running = 1

    def done(self) -> bool:
        return self.future.done()

    def set_result(self, result: Any, /) -> None:
        if not self.future.done():
            self.future.set_result(result)

    def set_exception(self, exception: Exception, /) -> None:
        self.running -= 1
        if not self.future.done() and not (self.running and isinstance(exception, SetbackError)):
            self.future.set_exception(exception)

"""A link: one replica as a gateway reaches it. It dials, hands over calls, matches answers, notices silence, and dials again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog

from kapelle.clock import monotonic
from kapelle.core.balance import Candidate, Standing
from kapelle.core.ticket import Setback
from kapelle.errors import KapelleError, WireError, rebuild
from kapelle.transport.connection import Connection
from kapelle.wire import messages
from kapelle.wire.frames import Buffer, Frame
from kapelle.wire.payload import Payload, Unpacker

log = structlog.get_logger()

PING_EVERY = 1.0
SILENT_AFTER = 2.0
"""Seconds without an answer to a ping after which a replica is taken for dead."""
_FIRST_BACKOFF = 0.05
_LONGEST_BACKOFF = 2.0

_decode = messages.Decoder[messages.FromReplica](messages.FromReplica)


class SetbackError(Exception):
    """An attempt brought no outcome."""

    def __init__(self, kind: Setback, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


class Attempt:
    """One call in a replica's hands."""

    __slots__ = ("future", "on_item", "rows", "unpack")

    def __init__(
        self,
        future: asyncio.Future[Any],
        rows: int,
        unpack: Unpacker,
        on_item: Callable[[Any], None] | None = None,
    ) -> None:
        self.future = future
        self.rows = rows
        self.unpack = unpack
        self.on_item = on_item


class Link:
    """The link to the replica ``name``. ``on_change`` is called when its standing changes."""

    def __init__(
        self, name: str, caller: str, connect: Callable[[], Awaitable[Connection]], on_change: Callable[[], None]
    ) -> None:
        self.candidate = Candidate(name)
        self.shards: list[int] = []
        self._caller = caller
        self._connect = connect
        self._on_change = on_change
        self._connection: Connection | None = None
        self._attempts: dict[int, Attempt] = {}
        self._number = 0
        self._heard = 0.0
        self._pinged: float | None = None
        self._came_back = False
        self._hurry = asyncio.Event()
        self._lost: asyncio.Future[str] | None = None
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._keep())

    def submit(
        self,
        method: str,
        shard: int,
        rows: int,
        timeout: float,
        request: str,
        trace: str,
        payload: Payload,
        attempt: Attempt,
    ) -> int:
        """Send a call; its outcome, or ``SetbackError``, arrives in the attempt's future. Returns the call's number."""
        self._number = number = self._number + 1
        connection = self._connection
        if connection is None:
            attempt.future.set_exception(SetbackError(Setback.REFUSED, "not connected"))
            return number
        data, segments = payload
        connection.send(
            messages.encode(messages.Call(number, method, shard, rows, timeout, request, trace, data)), segments
        )
        self._attempts[number] = attempt
        self.candidate.outstanding += rows
        return number

    def cancel(self, number: int) -> None:
        """Nobody waits for the call any more."""
        attempt = self._attempts.pop(number, None)
        if attempt is not None:
            self.candidate.outstanding -= attempt.rows
            self._send(messages.Cancel(number))

    def grant(self, number: int, items: int) -> None:
        """There is room for more items of a stream."""
        self._send(messages.Credit(number, items))

    def check(self, now: float) -> None:
        """Called about every second: ping, and cut off a replica that stopped answering."""
        if self._connection is None:
            return
        if self._pinged is not None and now - max(self._pinged, self._heard) >= SILENT_AFTER:
            self._drop(f"no answer for {SILENT_AFTER:g} s")
        elif now - self._heard >= PING_EVERY and self._pinged is None:
            self._pinged = now
            self._send(messages.Ping(0))

    def hurry(self, connect: Callable[[], Awaitable[Connection]]) -> None:
        """The replica is said to be there, perhaps at another address: dial now instead of waiting."""
        self._connect = connect
        self._hurry.set()

    async def close(self) -> None:
        """End the link; calls in the replica's hands come back as lost."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._drop("the link was closed")

    async def _keep(self) -> None:
        backoff = _FIRST_BACKOFF
        while True:
            self._hurry.clear()
            try:
                connection = await self._connect()
            except OSError:
                try:
                    async with asyncio.timeout(backoff):
                        await self._hurry.wait()
                except TimeoutError:
                    backoff = min(_LONGEST_BACKOFF, 2 * backoff)
                continue
            backoff = _FIRST_BACKOFF
            self._lost = self._loop.create_future()
            self._connection = connection
            self._heard = monotonic()
            # The answer to Hello may take as long as the instance takes to load, or never come (a stopped process).
            self._pinged = None
            connection.start(self._on_frames, self._drop)
            self._send(messages.Hello(messages.PROTOCOL, self._caller))
            reason = await self._lost
            log.debug("link lost", replica=self.candidate.name, reason=reason)

    def _send(self, message: messages.ToReplica, segments: Sequence[Buffer] = ()) -> None:
        if self._connection is not None:
            self._connection.send(messages.encode(message), segments)

    def _on_frames(self, frames: list[Frame]) -> None:
        self._heard = monotonic()
        self._pinged = None
        try:
            for head, body in frames:
                message = _decode(head)
                if type(message) is messages.Done:
                    self._done(message, body)
                else:
                    self._other(message, body)
        except WireError as error:
            self._drop(f"it sent garbage: {error}")

    def _done(self, done: messages.Done, body: Buffer) -> None:
        attempt = self._end(done.ticket)
        if attempt is None or attempt.future.done():
            return
        try:
            value = attempt.unpack(done.result, body)
        except KapelleError as error:
            attempt.future.set_exception(error)
            return
        attempt.future.set_result(value)
        if self.candidate.standing is Standing.HALF_OPEN:
            self._stand(Standing.READY)

    def _end(self, number: int) -> Attempt | None:
        attempt = self._attempts.pop(number, None)
        if attempt is not None:
            self.candidate.outstanding -= attempt.rows
        return attempt

    def _other(self, message: messages.FromReplica, body: Buffer) -> None:
        match message:
            case messages.Failed(ticket, code, detail, extra):
                self._raise(ticket, rebuild(code, detail, extra))
            case messages.Refused(ticket, reason):
                self._raise(ticket, SetbackError(Setback.REFUSED, reason))
            case messages.Item(ticket, value):
                attempt = self._attempts.get(ticket)
                if attempt is not None and attempt.on_item is not None:
                    attempt.on_item(attempt.unpack(value, body))
            case messages.Welcome(_, _, _, shards):
                self.shards = shards
                self._stand(Standing.HALF_OPEN if self._came_back else Standing.READY)
            case messages.Unready():
                self._stand(Standing.UNREADY)
            case messages.Readied():
                self._stand(Standing.READY)

    def _raise(self, number: int, error: Exception) -> None:
        attempt = self._end(number)
        if attempt is not None and not attempt.future.done():
            attempt.future.set_exception(error)

    def _stand(self, standing: Standing) -> None:
        if self.candidate.standing is not standing:
            self.candidate.standing = standing
            self._on_change()

    def _drop(self, reason: str) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        connection.abort()
        self._pinged = None
        self._came_back = self._came_back or self.candidate.standing is not Standing.UNREADY
        self._stand(Standing.UNREADY)
        attempts, self._attempts = self._attempts, {}
        self.candidate.outstanding = 0
        for attempt in attempts.values():
            if not attempt.future.done():
                attempt.future.set_exception(SetbackError(Setback.LOST, reason))
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(reason)

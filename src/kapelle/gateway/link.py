"""A link: one replica as a gateway reaches it.

It dials, hands over calls, matches answers, notices silence, and dials again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from kapelle.core.balance import Candidate, Standing
from kapelle.core.ticket import Setback
from kapelle.errors import ContractError, DeadlineExceeded, InvalidInput, TooLarge, WireError, rebuild
from kapelle.gateway.calls import OpenCall, Outcome, SetbackError, StreamCall
from kapelle.transport.complaints import trouble_of
from kapelle.transport.connection import Connection
from kapelle.transport.outbox import Outbox
from kapelle.wire import messages
from kapelle.wire.body import Body
from kapelle.wire.frames import Frame
from kapelle.wire.turns import said_by_replica

log = structlog.get_logger()

PING_EVERY = 1.0
"""Seconds of silence after which a replica is asked whether it is there."""
SILENT_AFTER = 2.0
"""Seconds without an answer to that after which a replica is taken for dead."""
_DIAL_TIMEOUT = 5.0
_FIRST_BACKOFF = 0.05
_LONGEST_BACKOFF = 2.0

Connect = Callable[[], Awaitable[Connection]]


class Link:
    """The link to the replica ``name``. ``on_change`` is called when its standing changes."""

    def __init__(self, name: str, caller: str, connect: Connect, on_change: Callable[[], None]) -> None:
        self.candidate = Candidate(name)
        self.holds: dict[str, list[int]] = {}
        """The shards of each release that the replica has ready."""
        self.known_as = name
        """What the replica calls itself, once it has been met."""
        self.code = ""
        """The version of the app's code that it runs, where that may be another than here."""
        self.interface = ""
        """What its methods look like, where that may be another than here."""
        self.trouble = ""
        """Why it cannot be reached; "" while it can."""
        self._caller = caller
        self._connect = connect
        self._on_change = on_change
        self._connection: Connection | None = None
        self._outbox: Outbox[messages.OneToReplica] | None = None
        self._attempts: dict[int, tuple[OpenCall, Outcome, bool]] = {}
        # Rows of cancelled calls, which keep the replica busy until it says that they are over.
        self._abandoned: dict[int, int] = {}
        self._number = 0
        self._together = 0
        """Calls since nothing was last on its way."""
        self._checked: float | None = None
        self._quiet = 0.0
        self._pinged = False
        self._welcomed = False
        self._came_back = False
        self._leaving = False
        self._retired = False
        self._hurry = asyncio.Event()
        self._ended: asyncio.Future[str] | None = None
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._keep())

    # --- calls --------------------------------------------------------------------------------------------------------

    def submit(self, call: OpenCall, outcome: Outcome, now: float) -> int:
        """Hand a call over; what comes of it, or a ``SetbackError``, is put into ``outcome``. Returns its number."""
        self._number = number = self._number + 1
        outbox = self._outbox
        if outbox is None:
            outcome.set_exception(SetbackError(Setback.REFUSED, "not connected"))
            return number
        site = call.site
        data, segments = call.payload
        message = messages.Call(
            number,
            site.method,
            site.shard,
            call.rows,
            call.deadline - now,
            call.request,
            call.trace,
            data,
            site.release,
        )
        try:
            bulk = outbox.say(message, segments, at_once=self._came_alone())
        except WireError as error:
            outcome.set_exception(TooLarge(f"the arguments of {site.name} are too large: {error.detail}"))
            return number
        self._attempts[number] = call, outcome, bulk
        self.candidate.outstanding += call.rows
        return number

    def _came_alone(self) -> bool:
        """Count a call; whether calls come one after the other, so that it need not wait for others to leave with."""
        if self._attempts:
            self._together += 1
            return False
        before, self._together = self._together, 1
        return before == 1

    def cancel(self, number: int) -> None:
        """Nobody waits for the call any more; nothing happens when it is over."""
        attempt = self._attempts.pop(number, None)
        if attempt is not None and self._outbox is not None:
            call, _, bulk = attempt
            self._abandoned[number] = call.rows
            # Behind the call itself, or it would be forgotten before the call arrives.
            self._outbox.say(messages.Cancel(number), bulk=bulk)

    def grant(self, number: int, items: int) -> None:
        """There is room for more items of a stream."""
        self._send(messages.Credit(number, items))

    # --- the life of the link -----------------------------------------------------------------------------------------

    def check(self, now: float) -> None:
        """Called about every second: end calls that are overdue, ping, cut off a replica that stopped answering."""
        # While this process stood still, nobody could be heard: such a time counts as one second of silence.
        passed = 0.0 if self._checked is None else min(now - self._checked, PING_EVERY)
        self._checked = now
        if self._connection is None:
            return
        for number in [number for number, (call, _, _) in self._attempts.items() if call.deadline <= now]:
            _, outcome, _ = self._attempts[number]
            self.cancel(number)
            _fail(outcome, DeadlineExceeded("no answer before the deadline"))
        self._quiet += passed
        if self._pinged and self._quiet >= PING_EVERY + SILENT_AFTER:
            self._drop(f"no answer for {SILENT_AFTER:g} s")
        elif not self._pinged and self._quiet >= PING_EVERY:
            self._quiet = PING_EVERY
            self._pinged = True
            self._send(messages.Ping(0))

    def hurry(self, connect: Connect) -> None:
        """The replica is said to be there, perhaps at another address: dial now instead of waiting."""
        self._connect = connect
        self._hurry.set()

    def retire(self) -> None:
        """The replica is to be used no more: the link ends with the last call in its hands."""
        self._retired = True
        self._leave()
        if self._connection is None:
            self._task.cancel()

    @property
    def over(self) -> bool:
        """Whether the link has ended for good."""
        return self._task.done()

    async def close(self) -> None:
        """End the link; calls in the replica's hands come back as lost."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._drop("the link was closed")

    async def _keep(self) -> None:
        backoff = _FIRST_BACKOFF
        while not self._retired:
            self._hurry.clear()
            try:
                async with asyncio.timeout(_DIAL_TIMEOUT):
                    connection = await self._connect()
            except OSError as error:
                self.trouble = trouble_of(error, self.trouble, "a replica refuses the link", self.candidate.name)
            else:
                self.trouble = ""
                reason = await self._use(connection)
                log.debug("link ended", replica=self.candidate.name, reason=reason)
                if self._welcomed:
                    backoff = _FIRST_BACKOFF
                    continue
            try:
                async with asyncio.timeout(backoff):
                    await self._hurry.wait()
            except TimeoutError:
                backoff = min(_LONGEST_BACKOFF, 2 * backoff)

    async def _use(self, connection: Connection) -> str:
        """Serve one connection; why it ended."""
        self._ended = self._loop.create_future()
        self._connection = connection
        self._outbox = Outbox(connection, messages.TurnToReplica)
        # The answer to Hello may take as long as the instance takes to load; that the process is there, pings tell.
        self._welcomed = self._leaving = self._pinged = False
        self._quiet = 0.0
        connection.start(partial(self._on_frames, connection), partial(self._lost, connection))
        self._send(messages.Hello(messages.PROTOCOL, self._caller))
        if self._retired:
            self._leave()
        return await self._ended

    def _send(self, message: messages.OneToReplica) -> None:
        if self._outbox is not None:
            self._outbox.say(message)

    # --- what the replica says ----------------------------------------------------------------------------------------

    def _on_frames(self, connection: Connection, frames: list[Frame]) -> None:
        if connection is not self._connection:
            return
        self._quiet = 0.0
        self._pinged = False
        try:
            for head, body in frames:
                for message in said_by_replica(head):
                    if type(message) is messages.Done:
                        self._done(message, body)
                    else:
                        self._other(message, body)
        except WireError as error:
            self._drop(f"it sent garbage: {error.detail}")

    def _done(self, done: messages.Done, body: Body) -> None:
        attempt = self._attempts.get(done.ticket)
        if attempt is None:
            self._freed(done.ticket)
            return
        call, outcome, _ = attempt
        try:
            value = call.site.unpack(done.result, body)
        except Exception as error:  # noqa: BLE001 - users' types may raise anything when they are made of what came
            self._over(done.ticket)
            _fail(outcome, _broken_promise(call, error))
            return
        if isinstance(call, StreamCall):
            call.end(value)
            self._end_if_complete(done.ticket, call, outcome)
        else:
            self._over(done.ticket)
            if not outcome.done():
                outcome.set_result(value)
        if self.candidate.standing is Standing.HALF_OPEN:
            self._stand(Standing.READY)

    def _other(self, message: messages.OneFromReplica, body: Body) -> None:
        match message:
            case messages.Failed(ticket, code, detail, extra, items):
                self._raise(ticket, rebuild(code, detail, extra), items)
                # It may not have been able to, but it has done what it was asked.
                if self.candidate.standing is Standing.HALF_OPEN:
                    self._stand(Standing.READY)
            case messages.Refused(ticket, reason):
                self._raise(ticket, SetbackError(Setback.REFUSED, reason))
            case messages.Dropped(ticket):
                self._freed(ticket)
            case messages.Item():
                self._item(message, body)
            case messages.Welcome():
                self._welcome(message)
            case messages.Holds(holds):
                self.holds = holds
                self._on_change()
            case messages.Unready():
                self._leave()
            case messages.Readied():
                self._leaving = False
                self._stand(Standing.READY)

    def _item(self, item: messages.Item, body: Body) -> None:
        attempt = self._attempts.get(item.ticket)
        if attempt is None:
            return
        call, outcome, _ = attempt
        if not isinstance(call, StreamCall):
            raise WireError(f"an item of {call.site.name}, which is no stream")
        try:
            value = call.unpack_item(item.value, body)
        except Exception as error:  # noqa: BLE001 - as for results
            self.cancel(item.ticket)
            _fail(outcome, _broken_promise(call, error))
            return
        call.put(item.number, value)
        self._end_if_complete(item.ticket, call, outcome)

    def _end_if_complete(self, number: int, call: StreamCall, outcome: Outcome) -> None:
        if call.complete:
            self._over(number)
            if call.failure is not None:
                _fail(outcome, call.failure)
            elif not outcome.done():
                outcome.set_result(None)

    def _welcome(self, welcome: messages.Welcome) -> None:
        if welcome.protocol != messages.PROTOCOL:
            log.error(
                "a replica speaks another protocol: update the older side",
                replica=self.candidate.name,
                theirs=welcome.protocol,
                ours=messages.PROTOCOL,
            )
            return
        self._welcomed = True
        self._leaving = False
        self.known_as, self.holds = welcome.replica, welcome.holds
        self.code, self.interface = welcome.code, welcome.interface
        self._stand(Standing.HALF_OPEN if self._came_back else Standing.READY)

    # --- ends ---------------------------------------------------------------------------------------------------------

    def _over(self, number: int) -> None:
        call, _, _ = self._attempts.pop(number)
        self._freed_rows(call.rows)

    def _freed(self, number: int) -> None:
        """The replica is done with a call that was cancelled; any other is not known here."""
        rows = self._abandoned.pop(number, None)
        if rows is not None:
            self._freed_rows(rows)

    def _freed_rows(self, rows: int) -> None:
        self.candidate.outstanding -= rows
        if self._leaving and not self._busy:
            self._hang_up()

    @property
    def _busy(self) -> bool:
        return bool(self._attempts or self._abandoned)

    def _raise(self, number: int, error: Exception, items: int | None = None) -> None:
        attempt = self._attempts.get(number)
        if attempt is None:
            self._freed(number)
            return
        call, outcome, _ = attempt
        if items is not None and isinstance(call, StreamCall):
            call.end(items, error)
            self._end_if_complete(number, call, outcome)
        else:
            self._over(number)
            _fail(outcome, error)

    def _stand(self, standing: Standing) -> None:
        if self.candidate.standing is not standing:
            self.candidate.standing = standing
            self._on_change()

    def _leave(self) -> None:
        """Give the replica no more calls, and hang up after the last answer: then no call can be on its way."""
        self._stand(Standing.UNREADY)
        self._leaving = True
        if not self._busy:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._connection is not None and self._outbox is not None:
            self._outbox.close()
            self._lost(self._connection, "hung up")

    def _drop(self, reason: str) -> None:
        connection = self._connection
        if connection is not None:
            connection.abort()
            self._lost(connection, reason)

    def _lost(self, connection: Connection, reason: str) -> None:
        """``connection`` is of no use any more. Its own end may be told later, when there is another one."""
        if connection is not self._connection:
            return
        self._connection = self._outbox = None
        self._came_back = self._came_back or self.candidate.standing is not Standing.UNREADY
        self._stand(Standing.UNREADY)
        attempts, self._attempts = self._attempts, {}
        self._abandoned.clear()
        self.candidate.outstanding = 0
        for _, outcome, _ in attempts.values():
            _fail(outcome, SetbackError(Setback.LOST, reason))
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(reason)


def _fail(outcome: Outcome, error: Exception) -> None:
    if not outcome.done():
        outcome.set_exception(error)


def _broken_promise(call: OpenCall, error: Exception) -> ContractError:
    """The replica answered, but not with what the method's annotation says: the service's fault, not the caller's."""
    if isinstance(error, InvalidInput):
        return ContractError(
            f"{call.site.name} returned something else than it promises: {error.detail} at {error.path}"
        )
    return ContractError(f"the answer of {call.site.name} cannot be read: {type(error).__name__}: {error}")

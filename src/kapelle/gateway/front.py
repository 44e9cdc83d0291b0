"""The gateway's data plane: requests are admitted, run under their deadline, answered and measured."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from email.utils import formatdate

import structlog

from kapelle.clock import monotonic, wall
from kapelle.config.settings import Settings
from kapelle.core.admission import Admission
from kapelle.declare.context import RequestContext, enter_request
from kapelle.declare.quality import ScoredRequest
from kapelle.errors import CallError, DeadlineExceeded, Overloaded, UserCodeError, forget_frames, text_of
from kapelle.gateway.aside import Aside
from kapelle.gateway.bodies import Reserve, Room, plain_room
from kapelle.gateway.edition import Edition
from kapelle.gateway.endpoint import Answer, Endpoint, Traffic
from kapelle.gateway.familiar import FamiliarHeads
from kapelle.gateway.http import HttpConnection
from kapelle.gateway.problems import CLIENT_GONE, HttpError, explained, ungrouped
from kapelle.gateway.request import Request
from kapelle.gateway.routes import NOTHING, InPath, Routes, split_target
from kapelle.gateway.sse import error_event, send_events
from kapelle.ids import request_ids
from kapelle.observe.access import AccessLog
from kapelle.observe.metrics import Registry
from kapelle.tasks import is_closed

log = structlog.get_logger()

_TICK = 0.05
_SWEEP_EVERY = 0.5
_GRACE = 1.0
"""Seconds after its deadline at which a request is answered though its endpoint goes on."""
_SCRATCH = 64 << 10
"""Bytes that are read at a time, but of large bodies, which are read to where they shall lie."""

Fallback = Callable[[Request], Awaitable[int]]


class Gateway:
    """The endpoints of one app behind any number of connections.

    ``fallback`` answers every other path and returns the status. What it answers is measured, but has no deadline, and
    only its requests with a body must find a free place, so that health is told under any load.
    """

    def __init__(
        self,
        settings: Settings,
        edition: Edition,
        endpoints: list[Endpoint],
        fallback: Fallback,
        registry: Registry,
    ) -> None:
        self.edition = edition
        """The one that requests are pinned to when they begin."""
        self.reserve: Reserve | None = None
        """Gives memory that services share, where there is any."""
        self.aside: Aside | None = None
        """The one beside it, which some of them see."""
        self.scratch = memoryview(bytearray(_SCRATCH))
        self.max_body = settings.max_body
        self.max_held = settings.max_request_bytes
        self.header_timeout = settings.header_timeout
        self.body_timeout = settings.body_timeout
        self.keep_alive = settings.keep_alive
        self.held = 0
        self.draining = False
        self.preambles: dict[tuple[int, bytes, bytes], bytes] = {}
        self.familiar = FamiliarHeads()
        self.new_id = request_ids()
        self._settings = settings
        self._fallback = fallback
        self._endpoints = endpoints
        self._other = Traffic("", registry)
        self._routes = Routes([(spec, one) for one in endpoints for spec in one.routes])
        self._direct = self._routes.direct
        lanes = [one.lane for one in (*endpoints, self._other)]
        self._admission = Admission(lanes, max_count=settings.max_requests, max_bytes=settings.max_request_bytes)
        self._access = AccessLog(settings.access_log)
        self._connections: set[HttpConnection] = set()
        self._something_ended = asyncio.Event()
        self._checks: list[Callable[[float], None]] = []
        registry.gauge("kapelle_connections", "Open client connections.", lambda: len(self._connections))
        self._loop = asyncio.get_running_loop()
        self.now = self._swept = monotonic()
        self.date = _date()
        self._ticker = self._loop.call_later(_TICK, self._tick)

    @property
    def in_flight(self) -> int:
        """Requests that are being answered."""
        return sum(len(one.running) for one in self._endpoints) + len(self._other.running)

    def allowed(self, path: str) -> list[str]:
        """The methods that the app serves at a decoded path."""
        return self._routes.allowed(path)

    @property
    def admitted(self) -> int:
        """Requests that hold a place."""
        return self._admission.in_flight

    # --- connections --------------------------------------------------------------------------------------------------

    def connection(self) -> HttpConnection:
        """The protocol for a client that was just accepted."""
        return HttpConnection(self)

    def opened(self, connection: HttpConnection) -> bool:
        self._connections.add(connection)
        return len(self._connections) <= self._settings.max_connections

    def closed(self, connection: HttpConnection) -> None:
        self._connections.discard(connection)
        self._something_ended.set()

    def room(self, request: Request, length: int) -> Room:
        """Where a large body shall lie: in memory that services share, if its endpoint takes it from there."""
        endpoint = self._direct.get((request.method, request.target))
        if self.reserve is not None and endpoint is not None and endpoint.takes_room:
            found = self.reserve(length, endpoint.shift(request))
            if found is not None:
                return found
        return plain_room(length)

    # --- requests -----------------------------------------------------------------------------------------------------

    def refuse(self, request: Request, error: HttpError) -> None:
        """Answer a request that cannot be read, or whose like is not served here."""
        request.id = request.id or self.new_id()
        request.edition = self.edition
        self._other.count(error.status)
        # In the form of the endpoint that it was for, whose clients may know no other.
        endpoint, _ = self._routes.find(request.method, split_target(request.target)[0])
        status, answer = (endpoint or self._other).refusal(error, request.id)
        request.connection.respond(request, status, *answer)

    def handle(self, request: Request) -> None:
        """Answer a complete request."""
        self._pin(request)
        endpoint = self._direct.get((request.method, request.target))
        if endpoint is None:
            self._handle_indirect(request)
        else:
            request.path = endpoint.spec.path
            self._admit(request, endpoint, NOTHING)

    def handle_at(self, request: Request, endpoint: Endpoint) -> None:
        """Answer a complete request that came by another way than HTTP/1.1, which knows its endpoint."""
        self._pin(request)
        self._admit(request, endpoint, NOTHING)

    def _pin(self, request: Request) -> None:
        """The request begins, and sees one release from here on."""
        request.began = monotonic()
        request.edition = self.edition if self.aside is None else self.aside.choose(request, self.edition)
        if not request.id:
            request.id = self.new_id()

    def _handle_indirect(self, request: Request) -> None:
        path, request.query = split_target(request.target)
        request.path = path.decode("latin-1")
        endpoint, in_path = self._routes.find(request.method, path)
        if endpoint is not None:
            self._admit(request, endpoint, in_path)
        elif request.size and not self._admission.enter(self._other.lane, request.size):
            self._fail(request, self._other, Overloaded("the gateway is full"))
        else:
            self._other.running[request] = None
            request.task = self._loop.create_task(self._fall_back(request))

    def _admit(self, request: Request, endpoint: Endpoint, in_path: InPath) -> None:
        if self._admission.enter(endpoint.lane, request.size):
            endpoint.running[request] = None
            edition = request.edition or self.edition
            edition.running += 1
            request.task = self._loop.create_task(self._run(request, edition, endpoint, in_path))
        else:
            self._fail(request, endpoint, Overloaded("the gateway is full"))

    async def _run(self, request: Request, edition: Edition, endpoint: Endpoint, in_path: InPath) -> None:
        request.started = True
        deadline = request.began + endpoint.timeout
        context = ScoredRequest(request.id, request.trace, deadline, edition.release, add_quality=edition.add_quality)
        enter_request(context)
        request.way = context.way
        try:
            if request.abandoned or request.expired:
                raise asyncio.CancelledError  # noqa: TRY301 - it ends as one that is cancelled later does
            function = edition.functions[endpoint.function]
            answer: Answer = (b"", b"", ())
            if endpoint.spec.streams:
                await send_events(request, endpoint.begin_stream(function, request, in_path))
            else:
                answer = endpoint.encode(request, await endpoint.begin(function, request, in_path))
        except BaseException as error:  # the app's code may end with anything, `sys.exit()` too; the client is told
            if _is_not_of_the_app(error):
                raise
            edition.leave()
            self._admission.leave(endpoint.lane, request.size)
            reason = _reason(request, error, endpoint.timeout)
            if request.begun and not request.finished:
                request.connection.end_stream(request, error_event(request, reason))
            self._fail(request, endpoint, reason, edition)
        else:
            edition.leave()
            self._admission.leave(endpoint.lane, request.size)
            # The client first: it does not wait for what is counted.
            if not request.finished:
                if request.begun:
                    request.connection.end_stream(request)
                else:
                    request.connection.respond(request, 200, *answer)
            self._done(request, endpoint, 200, edition)
            if self.aside is not None and not endpoint.spec.streams:
                self.aside.mirror(request, endpoint, in_path, answer[1])

    async def _fall_back(self, request: Request) -> None:
        request.started = True
        enter_request(RequestContext(request.id, request.trace, request.began + self._settings.request_timeout))
        failure: BaseException | None = None
        status = 0
        try:
            if request.abandoned:
                raise asyncio.CancelledError  # noqa: TRY301 - it ends as one that is cancelled later does
            status = await self._fallback(request)
        except BaseException as error:  # as above
            if _is_not_of_the_app(error):
                raise
            failure = error
        if request.size:
            self._admission.leave(self._other.lane, request.size)
        if failure is None:
            self._done(request, self._other, status)
        else:
            self._fail(request, self._other, failure)

    def _fail(self, request: Request, traffic: Traffic, error: BaseException, edition: Edition | None = None) -> None:
        """The end of a request that has no good answer; ``edition`` is the one that ran it."""
        if request.abandoned:
            self._done(request, traffic, CLIENT_GONE, edition)
            forget_frames(error)
            return
        status, answer = traffic.refusal(error, request.id)
        # The client first: what users have put into the log's way may fail.
        if request.begun and not request.finished:
            request.connection.abort()
        elif not request.finished:
            request.connection.respond(request, status, *answer)
        self._done(request, traffic, status, edition)
        _log_failure(request, traffic.name, status, error)
        forget_frames(error)

    def _done(self, request: Request, traffic: Traffic, status: int, edition: Edition | None = None) -> None:
        took = monotonic() - request.began
        traffic.running.pop(request, None)
        traffic.count(status)
        traffic.seconds.observe(took)
        if edition is not None:
            edition.vitals.observe(status, took)
        self._access.write(request.method, request.path, status, took, request.id, request.way)
        if self.draining:
            self._something_ended.set()

    # --- time ---------------------------------------------------------------------------------------------------------

    def every_second(self, check: Callable[[float], None]) -> None:
        """Have ``check`` called with the time about every second."""
        self._checks.append(check)

    def _tick(self) -> None:
        self._ticker = self._loop.call_later(_TICK, self._tick)
        self.now = now = monotonic()
        for endpoint in self._endpoints:
            _expire(endpoint, now)
        if now - self._swept >= _SWEEP_EVERY:
            self._swept = now
            self._sweep(now)

    def _sweep(self, now: float) -> None:
        self.date = _date()
        self.preambles.clear()
        for connection in list(self._connections):
            if connection.overdue and now >= connection.overdue:
                connection.time_out()
        for check in self._checks:
            check(now)
        self._access.flush(now)

    # --- the end ------------------------------------------------------------------------------------------------------

    def hang_up(self) -> None:
        """Close the connections that rest."""
        for connection in list(self._connections):
            connection.hang_up()

    def leave(self) -> list[socket.socket]:
        """Give up the connections that rest, for others to go on with."""
        left = [connection.leave() for connection in list(self._connections)]
        return [one for one in left if one is not None]

    async def inherit(self, client: socket.socket) -> None:
        """Go on with a connection that was left."""
        with suppress(OSError):  # it has gone away meanwhile
            _, connection = await self._loop.connect_accepted_socket(self.connection, client)
            connection.inherit()

    async def drain(self, seconds: float) -> bool:
        """Answer what runs and what has begun to arrive, close what rests; False when time ran out before."""
        self.draining = True
        try:
            async with asyncio.timeout(seconds):
                while True:
                    self.hang_up()
                    if not self._connections and not self.in_flight:
                        return True
                    self._something_ended.clear()
                    await self._something_ended.wait()
        except TimeoutError:
            return not self.in_flight

    def close(self) -> None:
        """Cut off whatever is left."""
        self._ticker.cancel()
        for connection in list(self._connections):
            connection.abort()


def _expire(endpoint: Endpoint, now: float) -> None:
    """Cancel the requests whose time is over: the oldest ones, because all of an endpoint have the same time."""
    for request in endpoint.running:
        deadline = request.began + endpoint.timeout
        if deadline > now:
            break
        if not request.expired:
            request.expired = True
            request.cancel()
        elif deadline + _GRACE <= now and not request.finished:
            _leave_behind(request, endpoint)


def _leave_behind(request: Request, endpoint: Endpoint) -> None:
    """Its endpoint was cancelled and goes on: the client waits no longer. It holds its place until it ends."""
    error = _late(endpoint.timeout)
    if request.begun:
        request.connection.end_stream(request, error_event(request, error))
    elif not request.abandoned:
        status, answer = endpoint.refusal(error, request.id)
        request.connection.respond(request, status, *answer)
    request.finished = True
    log.warning(
        "an endpoint goes on after its deadline, and keeps its place; let CancelledError end it",
        endpoint=endpoint.name, request=request.id,
    )  # fmt: skip


def _is_not_of_the_app(error: BaseException) -> bool:
    """Whether it ends more than a request."""
    return isinstance(error, KeyboardInterrupt) or (isinstance(error, GeneratorExit) and is_closed())


def _reason(request: Request, error: BaseException, timeout: float) -> BaseException:
    """Why a request failed: the app's code may turn a cancellation into anything."""
    return _late(timeout) if request.expired else ungrouped(error)


def _late(timeout: float) -> DeadlineExceeded:
    return DeadlineExceeded(f"no answer within {timeout:g} s")


def _log_failure(request: Request, endpoint: str, status: int, error: BaseException) -> None:
    if status == 500 and not isinstance(error, UserCodeError):
        log.error("request failed", endpoint=endpoint, path=request.path, request=request.id, exc_info=error)
    elif status >= 500:
        detail = explained(error)[1] if isinstance(error, CallError | HttpError) else text_of(error)
        log.warning("request failed", endpoint=endpoint, request=request.id, status=status, detail=detail)


def _date() -> bytes:
    return formatdate(wall(), usegmt=True).encode("ascii")

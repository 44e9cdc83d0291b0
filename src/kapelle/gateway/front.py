"""The gateway's data plane: requests are admitted, run under their deadline, answered and measured."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from email.utils import formatdate

import structlog

from kapelle.clock import monotonic, wall
from kapelle.config.settings import Settings
from kapelle.core.admission import Admission
from kapelle.core.deadlines import Deadlines
from kapelle.declare.context import RequestContext, enter_request
from kapelle.errors import CallError, DeadlineExceeded, Overloaded, UserCodeError
from kapelle.gateway.endpoint import Endpoint, encode
from kapelle.gateway.http import HttpConnection
from kapelle.gateway.problems import PROBLEM_TYPE, HttpError, problem
from kapelle.gateway.request import Headers, Request
from kapelle.gateway.sse import send_events
from kapelle.ids import is_safe_request_id, is_traceparent, request_ids
from kapelle.observe.access import AccessLog
from kapelle.observe.metrics import Registry

log = structlog.get_logger()

_GRAIN = 0.05
_SWEEP_EVERY = 0.5

Fallback = Callable[[Request], Awaitable[None]]


class Gateway:
    """The endpoints of one app behind any number of connections. ``fallback`` answers every other path."""

    def __init__(self, settings: Settings, endpoints: list[Endpoint], fallback: Fallback, registry: Registry) -> None:
        self.max_body = settings.max_body
        self.header_timeout = settings.header_timeout
        self.body_timeout = settings.body_timeout
        self.keep_alive = settings.keep_alive
        self.draining = False
        self.date = b""
        self._settings = settings
        self._fallback = fallback
        self._registry = registry
        self._routes = {(one.spec.method, one.spec.path): one for one in endpoints if not one.spec.path_parameters}
        self._patterns = [(_pattern(one.spec.path), one) for one in endpoints if one.spec.path_parameters]
        self._admission = Admission(
            [one.lane for one in endpoints], max_count=settings.max_requests, max_bytes=settings.max_request_bytes
        )
        self._access = AccessLog(settings.access_log)
        self._connections: set[HttpConnection] = set()
        self._deadlines: Deadlines[Request] = Deadlines(grain=_GRAIN, over=lambda request: request.finished)
        self._new_id = request_ids()
        self._loop = asyncio.get_running_loop()
        self._active = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._checks: list[Callable[[float], None]] = []
        registry.gauge("kapelle_connections", "Open client connections.", lambda: len(self._connections))
        self._swept = 0.0
        self._ticker = self._loop.call_later(_GRAIN, self._tick)
        self.date = formatdate(wall(), usegmt=True).encode()

    @property
    def in_flight(self) -> int:
        """Requests that are being answered."""
        return self._active

    # --- connections --------------------------------------------------------------------------------------------------

    def connection(self) -> HttpConnection:
        """The protocol for a client that was just accepted."""
        return HttpConnection(self)

    def opened(self, connection: HttpConnection) -> bool:
        self._connections.add(connection)
        return len(self._connections) <= self._settings.max_connections

    def closed(self, connection: HttpConnection) -> None:
        self._connections.discard(connection)

    def rejected(self, status: int) -> None:
        """A request was refused before it had a route."""
        self._registry.counter(
            "kapelle_requests_total", "Requests answered.", endpoint="", status=str(status)
        ).inc()

    def request_id(self, headers: Headers) -> str:
        """The client's own id where it may be taken over, else a new one."""
        for name, value in headers:
            if name == b"x-request-id":
                text = value.decode("latin-1")
                if is_safe_request_id(text):
                    return text
        return self._new_id()

    # --- requests -----------------------------------------------------------------------------------------------------

    def handle(self, request: Request) -> None:
        """Answer a complete request."""
        request.began = now = monotonic()
        request.id = self.request_id(request.headers)
        self._active += 1
        self._idle.clear()
        endpoint = self._routes.get((request.method, request.path))
        in_path: dict[str, str] = {}
        if endpoint is None:
            endpoint, in_path = self._match(request)
            if endpoint is None:
                request.task = self._loop.create_task(self._fall_back(request))
                return
        for name, value in request.headers:
            if name == b"traceparent":
                text = value.decode("latin-1")
                request.trace = text if is_traceparent(text) else ""
        if not self._admission.enter(endpoint.lane, request.size):
            self._answer_error(request, endpoint, Overloaded("the gateway is full", retry_after=1.0))
            return
        request.task = self._loop.create_task(self._run(request, endpoint, in_path))
        self._deadlines.add(now + endpoint.timeout, request)

    async def _run(self, request: Request, endpoint: Endpoint, in_path: dict[str, str]) -> None:
        enter_request(RequestContext(request.id, request.trace, request.began + endpoint.timeout))
        try:
            if endpoint.spec.streams:
                await send_events(request, endpoint.begin_stream(request, in_path))
                self._finish(request, endpoint, 200)
            else:
                content_type, body = encode(await endpoint.begin(request, in_path))
                request.connection.respond(request, 200, content_type, body)
                self._finish(request, endpoint, 200)
        except asyncio.CancelledError:
            if request.expired:
                self._answer_error(request, endpoint, DeadlineExceeded(f"no answer within {endpoint.timeout:g} s"))
            else:
                # The client went away; 499 is how nginx taught people to read that.
                self._finish(request, endpoint, 499)
        except Exception as error:  # noqa: BLE001 - the app's own code may raise anything; the client gets a problem body
            self._answer_error(request, endpoint, error)
        finally:
            self._admission.leave(endpoint.lane, request.size)

    def _answer_error(self, request: Request, endpoint: Endpoint, error: BaseException) -> None:
        status, headers, body = problem(error, request.id)
        if status == 500 and not isinstance(error, UserCodeError):
            log.error("request failed", endpoint=endpoint.spec.name, request=request.id, exc_info=error)
        elif status >= 500:
            detail = error.detail if isinstance(error, CallError) else str(error)
            log.warning("request failed", endpoint=endpoint.spec.name, request=request.id, status=status, detail=detail)
        if not request.finished:
            request.connection.respond(request, status, PROBLEM_TYPE, body, headers)
        self._finish(request, endpoint, status)

    def _finish(self, request: Request, endpoint: Endpoint, status: int) -> None:
        request.finished = True
        took = monotonic() - request.began
        endpoint.count(status)
        endpoint.seconds.observe(took)
        self._access.write(request.method, request.path, status, took, request.id)
        self._leave()

    async def _fall_back(self, request: Request) -> None:
        enter_request(RequestContext(request.id, request.trace, request.began + self._settings.request_timeout))
        status = 500
        try:
            await self._fallback(request)
        except asyncio.CancelledError:
            request.connection.abort()
        except Exception as error:  # noqa: BLE001 - a mounted application may raise anything
            if not isinstance(error, HttpError):
                log.exception("mounted application failed", path=request.path)
            status, headers, body = problem(error, request.id)
            request.connection.respond(request, status, PROBLEM_TYPE, body, headers)
        finally:
            request.finished = True
            self._leave()

    def _leave(self) -> None:
        self._active -= 1
        if not self._active:
            self._idle.set()

    def _match(self, request: Request) -> tuple[Endpoint | None, dict[str, str]]:
        method = request.method
        if method == "HEAD":
            method = "GET"
            found = self._routes.get((method, request.path))
            if found is not None:
                return found, {}
        for pattern, endpoint in self._patterns:
            matched = pattern.fullmatch(request.path)
            if matched is not None and endpoint.spec.method == method:
                return endpoint, matched.groupdict()
        return None, {}

    def allowed(self, path: str) -> list[str]:
        """The methods that the app serves at ``path``."""
        exact = [method for method, known in self._routes if known == path]
        return exact + [one.spec.method for pattern, one in self._patterns if pattern.fullmatch(path)]

    # --- time ---------------------------------------------------------------------------------------------------------

    def every_second(self, check: Callable[[float], None]) -> None:
        """Have ``check`` called with the time about every second."""
        self._checks.append(check)

    def _tick(self) -> None:
        now = monotonic()
        for request in self._deadlines.expired(now):
            request.expired = True
            if request.task is not None:
                request.task.cancel()
        if now - self._swept >= _SWEEP_EVERY:
            self._swept = now
            self._sweep(now)
        self._ticker = self._loop.call_later(_GRAIN, self._tick)

    def _sweep(self, now: float) -> None:
        self.date = formatdate(wall(), usegmt=True).encode()
        for connection in list(self._connections):
            if connection.overdue and now >= connection.overdue:
                connection.time_out()
        for check in self._checks:
            check(now)
        self._access.flush(now)

    # --- the end ------------------------------------------------------------------------------------------------------

    async def drain(self, timeout: float) -> bool:
        """Answer what runs, close what idles; False when some requests were still running at the end."""
        self.draining = True
        try:
            async with asyncio.timeout(timeout):
                await self._idle.wait()
                clean = True
        except TimeoutError:
            clean = False
        for connection in list(self._connections):
            connection.hang_up()
        return clean

    def close(self) -> None:
        """Cut off whatever is left."""
        self._ticker.cancel()
        for connection in list(self._connections):
            connection.abort()


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", path)
    text = "".join(re.escape(part) if index % 2 == 0 else f"(?P<{part}>[^/]+)" for index, part in enumerate(parts))
    return re.compile(text)

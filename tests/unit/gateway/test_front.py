"""The data plane without connections: requests go in by ``handle``, and answers come out at a recorder."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
import structlog

import kapelle
from kapelle.config.settings import Settings
from kapelle.declare.apps import app_spec
from kapelle.gateway import front
from kapelle.gateway.edition import Edition
from kapelle.gateway.endpoint import Endpoint
from kapelle.gateway.front import Gateway
from kapelle.gateway.problems import PROBLEM_TYPE, HttpError
from kapelle.gateway.request import Request
from kapelle.observe.metrics import Registry
from tests.unit.gateway.recorder import make_request, recorded
from tests.unit.gateway.sockets import Wire

PATIENCE = 10.0


@kapelle.app
class App:
    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.began: list[str] = []
        self.contexts: list[kapelle.RequestContext | None] = []

    @kapelle.get("/hello")
    async def hello(self) -> str:
        self.contexts.append(kapelle.current_request())
        return "hello"

    @kapelle.get("/items/{name}")
    async def item(self, name: str, count: int = 1) -> list[Any]:
        return [name, count]

    @kapelle.post("/hold")
    async def hold(self, data: bytes) -> str:
        self.began.append("hold")
        await self.go.wait()
        return "let go"

    @kapelle.get("/brief", timeout="50ms")
    async def brief(self) -> None:
        self.began.append("brief")
        await self.go.wait()

    @kapelle.get("/stream")
    async def stream(self) -> AsyncIterator[int]:
        yield 1
        await self.go.wait()


class Outside(BaseException):
    """No Exception, as the outcomes of some test frameworks are none."""


class Bench:
    """A gateway, and all that was asked of it."""

    def __init__(self, **settings: Any) -> None:
        spec = app_spec(App)
        assert spec is not None
        self.app = App()
        self.registry = Registry()
        self.edition = Edition(spec, "r1")
        self.edition.functions = {one.name: getattr(self.app, one.name) for one in spec.endpoints}
        self.fell_back: list[Request] = []
        endpoints = [Endpoint(one, 30.0, self.registry) for one in spec.endpoints]
        (self.streams,) = [one for one in endpoints if one.name == "stream"]
        given = Settings(**{"access_log": False, **settings})
        self.gateway = Gateway(given, self.edition, endpoints, self._fall_back, self.registry)

    async def _fall_back(self, request: Request) -> int:
        self.fell_back.append(request)
        if request.path == "/broken":
            request.connection.begin_stream(request, 200, b"text/plain")
            raise ValueError("broke off")
        if request.path == "/wait":
            await self.app.go.wait()
        request.connection.respond(request, 404, b"text/plain", b"other")
        return 404

    def handle(self, method: str, target: str, body: bytes = b"") -> Request:
        request = make_request(method, target.encode(), body)
        self.gateway.handle(request)
        return request

    async def ask(self, method: str, target: str, body: bytes = b"") -> Request:
        request = self.handle(method, target, body)
        if request.task is not None:
            await asyncio.wait_for(request.task, PATIENCE)
        return request

    def count(self, status: int) -> float:
        families = {family.name: family for family in self.registry.collect()}
        samples = families["kapelle_requests_total"].samples if "kapelle_requests_total" in families else []
        return sum(one.value for one in samples if dict(one.labels)["status"] == str(status))


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    bench.gateway.close()
    assert bench.gateway.in_flight == 0
    assert bench.gateway.admitted == 0


class PanicError(BaseException):
    """As code in Rust raises: no ``Exception``."""


async def test_whatever_the_apps_code_raises_is_answered(bench: Bench) -> None:
    async def panics() -> str:
        raise PanicError

    async def panics_later() -> AsyncIterator[int]:
        yield 1
        raise PanicError

    bench.edition.functions |= {"hello": panics, "stream": panics_later}
    request = await bench.ask("GET", "/hello")
    assert recorded(request).status == 500
    request = await bench.ask("GET", "/stream")
    assert request.finished
    assert bench.count(500) == 2


async def test_requests_find_their_endpoints(bench: Bench) -> None:
    request = await bench.ask("GET", "/hello")
    assert (recorded(request).status, recorded(request).body, request.path) == (200, b"hello", "/hello")
    request = await bench.ask("GET", "/items/a%20b?count=2")
    assert (recorded(request).json, request.path, request.query) == (["a b", 2], "/items/a%20b", b"count=2")
    request = await bench.ask("GET", "/other?x")
    assert (recorded(request).body, request.path, request.query) == (b"other", "/other", b"x")
    assert bench.fell_back == [request]
    assert (bench.count(200), bench.count(404)) == (2, 1)


@pytest.mark.parametrize(
    "error", [Outside("x"), SystemExit(3), GeneratorExit("x"), BaseExceptionGroup("all", [Outside("x")])]
)
async def test_whatever_the_app_ends_with_is_the_end_of_one_request(bench: Bench, error: BaseException) -> None:
    bench.edition.functions["hello"] = _raising(error)
    assert recorded(await bench.ask("GET", "/hello")).status == 500
    assert bench.count(500) == 1


async def test_a_log_that_fails_keeps_no_answer_back(bench: Bench) -> None:
    def fail(_: Any, __: str, event: Any) -> Any:
        return {"user": event["user"]}  # as a processor of users, which expects of all lines what theirs have

    bench.edition.functions["hello"] = _raising(ValueError("own"))
    request = bench.handle("GET", "/hello")
    assert request.task is not None
    with structlog.testing.capture_logs(processors=[fail]), pytest.raises(KeyError, match="user"):
        await request.task
    assert recorded(request).status == 500
    assert bench.gateway.in_flight == 0


def _raising(error: BaseException) -> Callable[[], Awaitable[str]]:
    async def hello() -> str:
        raise error

    return hello


async def test_calls_that_fail_in_a_group_are_told_as_those_that_fail_alone(bench: Bench) -> None:
    bench.edition.functions["hello"] = _raising(ExceptionGroup("all", [kapelle.Overloaded("full", retry_after=7)]))
    answer = recorded(await bench.ask("GET", "/hello"))
    assert (answer.status, answer.json["detail"]) == (429, "full")
    assert (b"retry-after", b"7") in answer.headers


async def test_every_request_has_an_id_of_its_own(bench: Bench) -> None:
    ids = {(await bench.ask("GET", target)).id for target in ("/hello", "/hello", "/other")}
    assert len(ids) == 3
    assert "" not in ids
    own = make_request("GET", b"/hello")
    own.id = "mine"
    bench.gateway.handle(own)
    assert own.task is not None
    await own.task
    context = bench.app.contexts[-1]
    assert context is not None
    assert (context.id, context.deadline) == ("mine", own.began + 30.0)


async def test_what_is_late_is_cancelled_and_told(bench: Bench) -> None:
    late, in_time = bench.handle("GET", "/brief"), bench.handle("POST", "/hold")
    assert late.task is not None
    await asyncio.wait_for(late.task, PATIENCE)
    assert recorded(late).status == 504
    assert not in_time.finished
    bench.app.go.set()
    assert in_time.task is not None
    await in_time.task
    assert recorded(in_time).body == b"let go"


@pytest.mark.parametrize("outcome", ["late", ValueError("late")])
async def test_a_client_does_not_wait_for_an_endpoint_that_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, outcome: str | ValueError
) -> None:
    monkeypatch.setattr(front, "_GRACE", 0.0)
    told = asyncio.Event()

    async def stubborn() -> str:
        while not bench.app.go.is_set():
            with suppress(asyncio.CancelledError):
                await bench.app.go.wait()
        if isinstance(outcome, ValueError):
            raise outcome
        return outcome

    bench.edition.functions["brief"] = stubborn
    request = bench.handle("GET", "/brief")
    monkeypatch.setattr(request.connection, "respond", _telling(request.connection.respond, told))
    await asyncio.wait_for(told.wait(), PATIENCE)
    assert recorded(request).status == 504
    assert bench.gateway.admitted == 1, "it still runs"
    bench.app.go.set()
    assert request.task is not None
    await request.task
    assert bench.gateway.admitted == bench.gateway.in_flight == 0


async def test_a_stream_that_goes_on_after_its_deadline_is_ended(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "_GRACE", 0.0)
    ended = asyncio.Event()

    async def stubborn() -> AsyncIterator[int]:
        yield 1
        while not bench.app.go.is_set():
            with suppress(asyncio.CancelledError):
                await bench.app.go.wait()

    bench.edition.functions["stream"] = stubborn
    monkeypatch.setattr(bench.streams, "timeout", 0.05)
    request = bench.handle("GET", "/stream")
    monkeypatch.setattr(request.connection, "end_stream", _telling(request.connection.end_stream, ended))
    await asyncio.wait_for(ended.wait(), PATIENCE)
    assert b"deadline-exceeded" in recorded(request).parts[-1]
    bench.app.go.set()
    assert request.task is not None
    await request.task
    assert bench.gateway.in_flight == 0


def _telling(function: Callable[..., None], event: asyncio.Event) -> Callable[..., None]:
    def call(*arguments: Any) -> None:
        function(*arguments)
        event.set()

    return call


async def test_a_client_that_is_gone_before_the_first_step(bench: Bench) -> None:
    for target in ("/brief", "/wait"):
        request = bench.handle("GET", target)
        request.abandoned = True
        request.cancel()
        assert request.task is not None
        await asyncio.wait_for(request.task, PATIENCE)
        assert recorded(request).status == 0
    assert bench.app.began == []
    assert bench.count(499) == 2


async def test_a_client_that_goes_on_the_way(bench: Bench) -> None:
    for request in (bench.handle("POST", "/hold"), bench.handle("GET", "/stream"), bench.handle("GET", "/wait")):
        await asyncio.sleep(0)
        request.abandoned = True
        request.cancel()
        assert request.task is not None
        await asyncio.wait_for(request.task, PATIENCE)
    assert bench.count(499) == 3


async def test_a_full_gateway_refuses_at_once() -> None:
    bench = Bench(max_requests=1)
    held = [bench.handle("POST", "/hold") for _ in range(3)]
    refused = [request for request in held if request.finished]
    assert refused
    assert {recorded(request).status for request in refused} == {429}
    assert all(request.task is None for request in refused)
    bench.app.go.set()
    await asyncio.gather(*(request.task for request in held if request.task is not None))
    assert bench.gateway.admitted == 0
    assert recorded(await bench.ask("POST", "/hold")).status == 200
    bench.gateway.close()


async def test_other_paths_need_a_place_only_for_a_body() -> None:
    bench = Bench(max_request_bytes=1000)
    waiting = [bench.handle("POST", "/wait", bytes(400))]
    refused = await bench.ask("POST", "/other", bytes(900))
    assert recorded(refused).status == 429
    assert recorded(await bench.ask("GET", "/other")).status == 404
    bench.app.go.set()
    await asyncio.gather(*(request.task for request in waiting if request.task is not None))
    assert bench.gateway.admitted == 0
    bench.gateway.close()


async def test_an_answer_that_broke_off_is_cut_off(bench: Bench) -> None:
    request = await bench.ask("GET", "/broken")
    assert recorded(request).aborted
    assert bench.count(500) == 1


async def test_refusals_are_counted_and_have_an_id(bench: Bench) -> None:
    request = make_request()
    bench.gateway.refuse(request, HttpError(431, "too much"))
    assert recorded(request).json["request_id"] == request.id != ""
    assert bench.count(431) == 1


async def test_refusals_have_the_form_of_the_endpoint_they_are_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (endpoint,) = [one for one in bench.gateway._endpoints if one.name == "item"]
    monkeypatch.setattr(endpoint, "refusal", lambda error, _: (error.status, (b"text/plain", b"so it is", ())))
    kinds = []
    for target in (b"/items/x?count=1", b"/hello", b"/nowhere", b"/items/\xff%", b""):
        request = make_request("GET", target)
        bench.gateway.refuse(request, HttpError(413, "too large"))
        kinds.append(recorded(request).content_type)
    assert kinds == [b"text/plain", *[PROBLEM_TYPE] * 2, b"text/plain", PROBLEM_TYPE]
    assert bench.count(413) == 5


async def test_methods_that_are_served(bench: Bench) -> None:
    assert set(bench.gateway.allowed("/hello")) == {"GET", "HEAD"}
    assert bench.gateway.allowed("/nowhere") == []


async def test_checks_are_called_with_the_time(bench: Bench) -> None:
    called: asyncio.Queue[float] = asyncio.Queue()
    bench.gateway.every_second(called.put_nowait)
    first = await asyncio.wait_for(called.get(), PATIENCE)
    assert await asyncio.wait_for(called.get(), PATIENCE) > first


async def test_a_check_that_fails_does_not_stop_the_clock(bench: Bench) -> None:
    failures: asyncio.Queue[Any] = asyncio.Queue()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.put_nowait(context["exception"]))

    def fail(now: float) -> None:
        raise ValueError("a check")

    bench.gateway.every_second(fail)
    for _ in range(2):
        assert str(await asyncio.wait_for(failures.get(), PATIENCE)) == "a check"


async def test_draining_waits_for_what_runs(bench: Bench) -> None:
    bench.handle("POST", "/hold")
    drain = asyncio.ensure_future(bench.gateway.drain(PATIENCE))
    await asyncio.sleep(0)
    assert not drain.done()
    assert bench.gateway.in_flight == 1
    bench.app.go.set()
    assert await drain


async def test_draining_gives_up(bench: Bench) -> None:
    held = bench.handle("POST", "/hold")
    assert not await bench.gateway.drain(0.01)
    bench.app.go.set()
    assert held.task is not None
    await held.task


async def test_connections_are_counted_and_bounded() -> None:
    bench = Bench(max_connections=1)
    wires = [Wire(), Wire()]
    connections = [bench.gateway.connection() for _ in wires]
    for wire, connection in zip(wires, connections, strict=True):
        connection.connection_made(wire)
    assert [wire.ended for wire in wires] == [False, True]
    assert b" 503 " in wires[1].sent
    bench.gateway.close()
    assert all(wire.aborted for wire in wires)


async def test_a_connection_goes_on_at_another_gateway(bench: Bench) -> None:
    other = Bench()
    client, ours = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=client)
    await bench.gateway.inherit(ours)
    for gateway, successor in ((bench.gateway, other.gateway), (other.gateway, bench.gateway)):
        for _ in range(2):
            writer.write(b"GET /hello HTTP/1.1\r\nhost: h\r\n\r\n")
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
            assert head.startswith(b"HTTP/1.1 200")
            assert await reader.readexactly(5) == b"hello"
        (left,) = gateway.leave()
        writer.write(b"GET /other HTTP/1.1\r\nhost: h\r\n\r\n")
        await successor.inherit(left)
        await asyncio.wait_for(reader.readuntil(b"other"), PATIENCE)
    assert (len(bench.app.contexts), len(other.app.contexts)) == (2, 2)
    assert (len(bench.fell_back), len(other.fell_back)) == (1, 1)
    writer.close()
    assert await bench.gateway.drain(PATIENCE)
    other.gateway.close()

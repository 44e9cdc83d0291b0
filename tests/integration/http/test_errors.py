"""What clients and the log get to know of failures: problems, request ids, deadlines, refusals under load."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest
import structlog
from numpy.typing import NDArray
from structlog.testing import LogCapture

import kapelle
from kapelle.errors import ReplicaLost, Unavailable
from tests.integration.http.client import Client, get, post
from tests.integration.http.echo import Echo
from tests.integration.http.serving import PATIENCE, Served, serving, until

SECRET = "password=hunter2"  # what must not reach a client


@kapelle.service(inline=True)
class Moody:
    @kapelle.method
    def fail(self) -> int:
        raise ValueError(SECRET)


@kapelle.app
class Failing:
    """An endpoint for each way to fail."""

    moody: Moody

    def __init__(self) -> None:
        self.seen: list[kapelle.RequestContext | None] = []
        self.ended: list[str] = []

    @kapelle.get("/context")
    async def context(self) -> None:
        self.seen.append(kapelle.current_request())

    @kapelle.get("/raise/{kind}")
    async def fail(self, kind: str) -> None:
        raise {
            "value": ValueError(SECRET),
            "key": KeyError(SECRET),
            "timeout": TimeoutError(SECRET),
            "exit": SystemExit(SECRET),
            "cancelled": asyncio.CancelledError(SECRET),
            "user": kapelle.UserCodeError(f"ValueError: {SECRET}", traceback=SECRET),
            "input": kapelle.InvalidInput("expected a smaller number", path="$.number"),
            "overloaded": kapelle.Overloaded("the service is full", retry_after=2.4),
            "unavailable": Unavailable("no replica is ready"),
            "lost": ReplicaLost("the replica died"),
            "deadline": kapelle.DeadlineExceeded(),
            "contract": kapelle.ContractError("3 rows for a batch of 2"),
        }[kind]

    @kapelle.get("/service")
    async def service(self) -> int:
        return await self.moody.fail()

    @kapelle.get("/nan")
    async def nan(self) -> NDArray[np.float64]:
        return np.array([1.0, np.nan])

    @kapelle.get("/infinity")
    async def infinity(self) -> dict[str, Any]:
        return {"rows": [np.array([np.inf], np.float32)]}

    @kapelle.get("/float")
    async def plain_float(self) -> dict[str, float | None]:
        return {"best": None, "score": float("nan")}

    @kapelle.get("/unknown")
    async def unknown(self) -> object:
        return object()

    @kapelle.get("/slow", timeout="100ms")
    async def slow(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.append("slow")

    @kapelle.get("/stubborn", timeout="100ms")
    async def stubborn(self) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("cannot be cancelled") from None


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(Failing) as system:
        yield system


@pytest.fixture
async def client(served: Served) -> Client:
    return await served.connect()


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    capture = LogCapture()
    before = structlog.get_config()
    structlog.configure(processors=[capture], wrapper_class=structlog.make_filtering_bound_logger(0))
    # Loggers that other tests have used keep what was configured then.
    for name, module in list(sys.modules.items()):
        if name.startswith("kapelle.") and hasattr(module, "log"):
            monkeypatch.setattr(module, "log", structlog.get_logger())
    yield capture.entries
    structlog.configure(**before)


@pytest.mark.parametrize(
    ("path", "status", "code", "detail"),
    [
        ("/raise/value", 500, "internal", "the application failed"),
        ("/raise/key", 500, "internal", "the application failed"),
        ("/raise/timeout", 500, "internal", "the application failed"),
        ("/raise/exit", 500, "internal", "the application failed"),
        ("/raise/cancelled", 500, "internal", "the application failed"),
        ("/raise/user", 500, "user-code", "a service failed"),
        ("/raise/input", 422, "invalid-input", "expected a smaller number"),
        ("/raise/overloaded", 429, "overloaded", "the service is full"),
        ("/raise/unavailable", 503, "unavailable", "no replica is ready"),
        ("/raise/lost", 502, "replica-lost", "the replica died"),
        ("/raise/deadline", 504, "deadline-exceeded", "The deadline passed"),
        ("/raise/contract", 500, "contract", "3 rows for a batch of 2"),
        ("/service", 500, "internal", "the application failed"),
        ("/nan", 500, "contract", "NaN at $[1], which JSON cannot carry"),
        ("/infinity", 500, "contract", "infinity at $.rows[0][0]"),
        ("/float", 500, "contract", "NaN at $.score"),
        ("/unknown", 500, "internal", "the application failed"),
        ("/slow", 504, "deadline-exceeded", "no answer within 0.1 s"),
        ("/stubborn", 504, "deadline-exceeded", "no answer within 0.1 s"),
    ],
)
async def test_failures_are_problems(
    served: Served, client: Client, logged: list[Any], path: str, status: int, code: str, detail: str
) -> None:
    answer = await client.ask(get(path, "X-Request-Id: id-7"))
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json["type"] == f"urn:kapelle:error:{code}"
    assert detail in answer.json["detail"]
    assert answer.json["request_id"] == answer.headers["x-request-id"] == "id-7"
    assert SECRET.encode() not in answer.body
    told = [entry for entry in logged if entry["request"] == "id-7"]
    assert len(told) == (1 if status >= 500 else 0)
    if code == "contract":
        assert detail in repr(told[0]["exc_info"])
    if code == "internal":
        assert SECRET in repr(told[0]["exc_info"]) or path == "/unknown"
    assert served.count("kapelle_requests_total", status=str(status)) == 1
    assert (await client.ask(get("/context"))).status == 200


async def test_refusals_say_when_to_come_back(client: Client) -> None:
    assert (await client.ask(get("/raise/overloaded"))).headers["retry-after"] == "3"
    assert (await client.ask(get("/raise/unavailable"))).headers["retry-after"] == "1"


async def test_the_deadline_cancels_the_work(served: Served, client: Client) -> None:
    assert (await client.ask(get("/slow"))).status == 504
    assert served.assembly.app.ended == ["slow"]


async def test_all_requests_that_are_late_are_told_so(served: Served) -> None:
    clients = [await served.connect() for _ in range(20)]
    for client in clients:
        await client.send(get("/slow"))
    assert {(await client.answer()).status for client in clients} == {504}


# --- request ids and traces -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("own", ["a", "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "A.b_c:d/e+f=g@h", "x" * 128])
async def test_safe_request_ids_are_taken_over(served: Served, client: Client, own: str) -> None:
    answer = await client.ask(get("/context", f"X-Request-ID: {own} "))
    assert answer.headers["x-request-id"] == own
    assert served.assembly.app.seen[0].id == own


@pytest.mark.parametrize("own", ["", "a b", "x" * 129, "a;b", "\xe4", "<script>", "a\tb"])
async def test_others_are_replaced(served: Served, client: Client, own: str) -> None:
    answer = await client.ask(get("/context", f"X-Request-ID: {own}"))
    assert answer.headers["x-request-id"] not in ("", own)
    assert served.assembly.app.seen[0].id == answer.headers["x-request-id"]


async def test_request_ids_are_all_different(client: Client) -> None:
    ids = [(await client.ask(get(path))).headers["x-request-id"] for path in ("/context", "/nowhere", "/livez") * 5]
    assert len(set(ids)) == 15


async def test_refused_requests_have_ids_too(client: Client) -> None:
    answer = await client.ask(get("/context", "X-Request-ID: mine", "Content-Length: x"))
    assert (answer.status, answer.headers["x-request-id"], answer.json["request_id"]) == (400, "mine", "mine")


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", True),
        ("00-00000000000000000000000000000000-b7ad6b7169203331-01", False),
        ("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", False),
        ("garbage", False),
    ],
)
async def test_trace_contexts(served: Served, client: Client, given: str, taken: bool) -> None:
    await client.ask(get("/context", f"traceparent: {given}"))
    assert served.assembly.app.seen[0].trace == (given if taken else "")


# --- admission --------------------------------------------------------------------------------------------------------


async def test_more_requests_than_places() -> None:
    async with serving(Echo, max_requests=8) as served:
        app: Echo = served.assembly.app
        clients = [await served.connect() for _ in range(20)]
        for client in clients:
            await client.send(get("/hold"))
        refused = [client for client in clients if (await _answer_now(served, client)) is not None]
        assert len(refused) == 20 - served.gateway.admitted
        assert 1 <= served.gateway.admitted <= 8
        # One endpoint that is flooded does not keep the others, or health, from answering.
        other = await served.connect()
        assert (await other.ask(get("/hello"))).status == 200
        assert (await other.ask(get("/livez"))).status == 200
        assert app.held == served.gateway.admitted
        app.let_go.set()
        waited = [client for client in clients if client not in refused]
        assert {(await client.answer()).body for client in waited} == {b"let go"}


async def _answer_now(served: Served, client: Client) -> int | None:
    """The status of an answer that comes without waiting for anybody; None when there is none."""
    reading = asyncio.ensure_future(client.answer())
    await until(lambda: reading.done() or served.count("kapelle_requests_total") + served.gateway.in_flight >= 20)
    done, _ = await asyncio.wait({reading}, timeout=0.02)
    if not done:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        return None
    answer = reading.result()
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")
    assert answer.json["type"] == "urn:kapelle:error:overloaded"
    return answer.status


async def test_more_bytes_than_room() -> None:
    async with serving(Echo, max_body=60_000, max_request_bytes=200_000) as served:
        holding, other = await served.connect(), await served.connect()
        await holding.send(post("/hold", bytes(60_000)))
        await asyncio.wait_for(served.assembly.app.entered.wait(), PATIENCE)
        statuses = set()
        clients = [await served.connect() for _ in range(4)]
        for client in clients[:-1]:
            await client.send(post("/hold", bytes(60_000)))
        refused = await clients[-1].ask(post("/hold", bytes(60_000)))
        statuses.add(refused.status)
        assert statuses == {429}
        assert not refused.closes
        assert (await other.ask(post("/echo", bytes(10_000)))).status == 200
        served.assembly.app.let_go.set()
        assert (await holding.answer()).body == b"let go"


async def test_pipelined_requests_take_one_place_at_a_time() -> None:
    async with serving(Echo, max_requests=1) as served:
        client = await served.connect()
        await client.send(get("/hello") * 10)
        assert [(await client.answer()).status for _ in range(10)] == [200] * 10

"""One connection: order, time, back-pressure and the ways it ends, without a network and with a clock set by hand."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.unit.gateway.sockets import Desk, Wire, connect

GET = b"GET /g HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde"
CLOSE = b"GET /c HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
BAD = b"GET /b HTTP/1.1\r\n\r\n"


def statuses(wire: Wire) -> list[int]:
    return [int(part[:3]) for part in wire.sent.split(b"HTTP/1.1 ")[1:]]


# --- answers ----------------------------------------------------------------------------------------------------------


def test_an_answer_in_full() -> None:
    desk, wire, connection = connect()
    connection.data_received(GET)
    (request,) = desk.handled
    connection.respond(request, 200, b"text/plain", b"body", ((b"x-more", b"1"),))
    assert wire.sent == (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ndate: today\r\n"
        b"content-length: 4\r\nx-more: 1\r\nx-request-id: r0\r\n\r\nbody"
    )
    assert request.finished


def test_large_answers_are_not_copied_together() -> None:
    desk, wire, connection = connect()
    connection.data_received(GET)
    desk.answer(b"x" * 200_000)
    assert wire.sent.endswith(b"\r\n\r\n" + b"x" * 200_000)


@pytest.mark.parametrize(
    ("method", "status", "body", "length", "sent"),
    [
        (b"GET", 200, b"", True, b""),
        (b"HEAD", 200, b"body", True, b""),
        (b"HEAD", 200, b"", False, b""),
        (b"GET", 204, b"", False, b""),
        (b"GET", 304, b"", False, b""),
    ],
)
def test_answers_without_a_body(method: bytes, status: int, body: bytes, length: bool, sent: bytes) -> None:
    desk, wire, connection = connect()
    connection.data_received(GET.replace(b"GET", method))
    desk.answer(body, status)
    head, _, rest = wire.sent.partition(b"\r\n\r\n")
    assert (b"content-length: %d" % len(body) in head) is length
    assert rest == sent


async def test_streams_are_chunked() -> None:
    desk, wire, connection = connect()
    connection.data_received(GET)
    (request,) = desk.handled
    connection.begin_stream(request, 200, b"text/plain")
    await connection.stream(request, b"one")
    await connection.stream(request, b"")
    connection.end_stream(request, b"two")
    head, _, body = wire.sent.partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    assert body == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"


async def test_streams_of_known_length_are_not() -> None:
    desk, wire, connection = connect()
    connection.data_received(GET)
    (request,) = desk.handled
    connection.begin_stream(request, 200, b"text/plain", (), 6)
    await connection.stream(request, b"one")
    await connection.stream(request, b"two")
    connection.end_stream(request)
    head, _, body = wire.sent.partition(b"\r\n\r\n")
    assert b"content-length: 6" in head
    assert body == b"onetwo"


async def test_streams_wait_for_room_and_end_with_the_client() -> None:
    desk, _, connection = connect()
    connection.data_received(GET)
    (request,) = desk.handled
    connection.begin_stream(request, 200, b"text/plain")
    connection.pause_writing()
    waiting = asyncio.ensure_future(connection.stream(request, b"one"))
    await asyncio.sleep(0)
    assert not waiting.done()
    connection.resume_writing()
    await waiting
    connection.pause_writing()
    waiting = asyncio.ensure_future(connection.stream(request, b"two"))
    await asyncio.sleep(0)
    connection.connection_lost(None)
    with pytest.raises(ConnectionResetError):
        await waiting
    with pytest.raises(ConnectionResetError):
        await connection.stream(request, b"three")


def test_an_answer_for_nobody_goes_nowhere() -> None:
    desk, wire, connection = connect()
    connection.data_received(GET)
    (request,) = desk.handled
    connection.connection_lost(None)
    assert request.abandoned
    connection.respond(request, 200, b"text/plain", b"late")
    connection.begin_stream(request, 200, b"text/plain")
    connection.end_stream(request)
    connection.abort()
    assert wire.sent == b""


def test_where_a_connection_comes_from() -> None:
    _, wire, connection = connect()
    wire._extra.update(peername=("10.0.0.1", 5), sockname=("10.0.0.2", 80), sslcontext=object())  # type: ignore[attr-defined]  # what asyncio fills
    expected = {"scheme": "https", "client": ("10.0.0.1", 5), "server": ("10.0.0.2", 80), "root_path": ""}
    assert connection.origin() == expected
    connection.connection_lost(None)
    assert connection.origin() == {"scheme": "http", "client": None, "server": None, "root_path": ""}


# --- order ------------------------------------------------------------------------------------------------------------


def test_one_request_at_a_time() -> None:
    desk, wire, connection = connect()
    connection.data_received(GET + POST + GET)
    for target in (b"/g", b"/p", b"/g"):
        (request,) = desk.handled
        assert request.target == target
        desk.answer()
    assert statuses(wire) == [200, 200, 200]


def test_refusals_wait_for_their_turn() -> None:
    desk, wire, connection = connect()
    connection.data_received(GET + GET + BAD + GET)
    desk.answer()
    assert statuses(wire) == [200]
    desk.answer()
    assert statuses(wire) == [200, 200, 400]
    assert wire.ended
    assert desk.refused == [400]
    assert desk.handled == []


def test_nothing_is_said_after_close() -> None:
    desk, wire, connection = connect()
    connection.data_received(GET + CLOSE + GET)
    desk.answer()
    desk.answer()
    assert statuses(wire) == [200, 200]
    assert wire.ended
    connection.data_received(GET)
    assert desk.handled == []


def test_reading_stops_when_enough_waits() -> None:
    desk, wire, connection = connect()
    connection.data_received(GET * 20)
    assert wire.reads == [True]
    connection.data_received(GET * 100)
    for _ in range(119):
        desk.answer()
    assert wire.reads == [True, False]
    desk.answer()
    assert wire.reads == [True, False, True]


def test_bytes_that_wait_are_counted_until_they_are_handled() -> None:
    desk, _, connection = connect()
    connection.data_received(GET + POST + POST + POST[:-2])
    assert desk.held == 13
    for left in (8, 3, 3):
        desk.answer()
        assert desk.held == left
    connection.data_received(b"de")
    assert desk.held == 0
    connection.data_received(POST[:-1])
    connection.connection_lost(None)
    assert desk.held == 0


def test_a_client_that_sends_when_all_is_full_is_refused() -> None:
    desk, wire, connection = connect(Desk(max_held=4))
    connection.data_received(POST[:-2])
    assert desk.refused == []
    desk.held += 2
    connection.data_received(b"d")
    assert (desk.refused, desk.held) == ([429], 2)
    assert b"retry-after: 1\r\n" in wire.sent
    assert wire.ended


def test_one_connection_too_many_is_told_so() -> None:
    desk, wire, connection = connect(Desk(full=True))
    assert statuses(wire) == [503]
    connection.data_received(GET)
    assert desk.handled == []


# --- time -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "after"),
    [(b"", 10.0), (GET[:-2], 10.0), (POST[:-2], 60.0), (POST[:-2] + b"d", 60.0), (GET, None)],
)
def test_how_long_a_client_may_take(data: bytes, after: float | None) -> None:
    desk, _, connection = connect()
    connection.data_received(data)
    assert connection.overdue == (0.0 if after is None else desk.now + after)


def test_time_is_not_extended_by_more_of_the_same() -> None:
    desk, _, connection = connect()
    connection.data_received(GET[:20])
    began = connection.overdue
    desk.now += 5
    connection.data_received(GET[20:25])
    assert connection.overdue == began
    desk.now += 1
    connection.data_received(POST[:-1].replace(b"POST", GET[25:] + b"POST"))
    desk.answer()
    assert connection.overdue == desk.now + 60


def test_between_requests_there_is_rest() -> None:
    desk, _, connection = connect()
    connection.data_received(GET)
    desk.answer()
    assert connection.overdue == desk.now + 75
    connection.data_received(GET[:10])
    assert connection.overdue == desk.now + 10


def test_a_half_sent_request_behind_an_answer_has_its_own_time() -> None:
    desk, _, connection = connect()
    connection.data_received(GET + GET[:10])
    assert connection.overdue == 0.0
    desk.answer()
    assert connection.overdue == desk.now + 10


@pytest.mark.parametrize(("data", "told"), [(GET[:10], [408]), (POST[:-2], [408]), (b"", []), (b"GE", [])])
def test_what_a_slow_client_is_told(data: bytes, told: list[int]) -> None:
    desk, wire, connection = connect()
    connection.data_received(data)
    connection.time_out()
    assert desk.refused == statuses(wire) == told
    assert wire.ended
    assert not wire.aborted
    connection.time_out()
    assert wire.aborted


def test_a_client_that_does_not_read_is_cut_off() -> None:
    desk, wire, connection = connect()
    connection.data_received(GET + GET)
    connection.pause_writing()
    assert connection.overdue == desk.now + 60
    desk.answer()
    assert connection.overdue == desk.now + 60
    assert desk.handled == [], "more answers would pile up"
    connection.time_out()
    assert wire.aborted


def test_a_client_that_reads_again_is_served_again() -> None:
    desk, _, connection = connect()
    connection.data_received(GET + GET)
    connection.pause_writing()
    desk.answer()
    connection.resume_writing()
    (request,) = desk.handled
    assert connection.overdue == 0.0
    assert connection.current is request


def test_lingering_lasts_while_the_client_sends_but_not_for_ever() -> None:
    desk, wire, connection = connect()
    connection.data_received(BAD)
    assert wire.ended
    assert connection.overdue == desk.now + 2
    for _ in range(100):
        desk.now += 1
        connection.data_received(b"more")
    assert connection.overdue == 1000 + 60
    assert statuses(wire) == [400]


def test_last_words_that_are_stuck_get_more_time() -> None:
    desk, wire, connection = connect()
    connection.data_received(CLOSE)
    wire.stuck = 10
    desk.answer()
    assert connection.overdue == desk.now + 60
    connection.resume_writing()
    assert connection.overdue == desk.now + 2


# --- the end ----------------------------------------------------------------------------------------------------------


def test_the_end_of_a_client_that_waits_for_nothing() -> None:
    _, _, connection = connect()
    assert not connection.eof_received()
    _, _, connection = connect()
    connection.data_received(GET[:5])
    assert not connection.eof_received()


def test_a_client_that_is_done_with_sending_gets_its_answers() -> None:
    desk, wire, connection = connect()
    connection.data_received(GET + GET + GET[:5])
    assert connection.eof_received()
    assert connection.overdue == desk.now + 0.5
    desk.answer()
    desk.answer()
    assert wire.closed
    assert statuses(wire) == [200, 200], "closed with the last answer, not before"


def test_tls_cannot_end_one_side() -> None:
    _, _, connection = connect(tls=True)
    connection.data_received(GET)
    assert not connection.eof_received()
    desk, wire, connection = connect(tls=True)
    connection.data_received(CLOSE)
    desk.answer()
    assert wire.closed
    _, wire, connection = connect(tls=True)
    connection.data_received(BAD)
    assert not wire.closed, "the client has more to send, and a reset would take the answer from it"


def test_hanging_up_spares_whoever_is_busy() -> None:
    for data, spared in ((b"", False), (GET, True), (GET[:5], True), (POST[:-1], True)):
        _, wire, connection = connect()
        connection.data_received(data)
        connection.hang_up()
        assert wire.ended is not spared


@pytest.fixture
def client() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        yield client


def test_a_connection_is_left_when_nothing_of_it_is_here(client: socket.socket) -> None:
    for data, stuck, tls in ((b"", 1, False), (b"", 0, True), (GET, 0, False), (GET[:5], 0, False), (CLOSE, 0, False)):
        _, wire, connection = connect(tls=tls, client=client)
        wire.stuck = stuck
        connection.data_received(data)
        assert connection.leave() is None
        assert not wire.aborted
    desk, wire, connection = connect(client=client)
    connection.data_received(GET)
    desk.answer()
    left = connection.leave()
    assert left is not None
    with left:
        assert wire.aborted
        assert left.getsockname() == client.getsockname()
        assert left.fileno() != client.fileno()
    connection.connection_lost(None)
    assert connection.leave() is None


def test_the_parting_is_not_left(client: socket.socket) -> None:
    _, wire, connection = connect(client=client)
    connection.hang_up()
    assert wire.ended
    assert connection.leave() is None


def test_an_inherited_connection_may_rest_as_long_as_any() -> None:
    desk, _, connection = connect()
    assert connection.overdue == desk.now + desk.header_timeout
    connection.inherit()
    assert connection.overdue == desk.now + desk.keep_alive
    connection.data_received(GET[:5])
    began = connection.overdue
    connection.inherit()
    assert connection.overdue == began == desk.now + desk.header_timeout


def test_draining_closes_with_the_last_answer() -> None:
    desk, wire, connection = connect()
    connection.data_received(GET + GET)
    desk.draining = True
    desk.answer()
    assert b"connection: close" not in wire.sent
    desk.answer()
    assert wire.sent.count(b"connection: close") == 1
    assert wire.ended


async def test_draining_ends_a_stream_that_has_begun() -> None:
    desk, wire, connection = connect()
    connection.data_received(GET)
    (request,) = desk.handled
    connection.begin_stream(request, 200, b"text/plain")
    desk.draining = True
    connection.end_stream(request)
    assert wire.ended


# --- any order of events ----------------------------------------------------------------------------------------------


class Life(RuleBasedStateMachine):
    """A client, a gateway and a clock do what they like; the connection keeps its promises."""

    @initialize(tls=st.booleans())
    def begin(self, tls: bool) -> None:
        self.desk, self.wire, self.connection = connect(tls=tls)
        self.lost = False
        self.asked = self.answered = 0

    @precondition(lambda self: self.lost and not self.desk.handled)
    @rule(tls=st.booleans())
    def another(self, tls: bool) -> None:
        self.begin(tls)

    @precondition(lambda self: not self.lost and self.wire.reading and not self.wire.closed)
    @rule(data=st.sampled_from([GET, POST, GET * 40, POST[:-2], b"de", GET[:7], CLOSE, BAD, b"\r\n", b"x" * 2000]))
    def send(self, data: bytes) -> None:
        self.connection.data_received(data)

    @precondition(lambda self: self.desk.handled)
    @rule()
    def answer(self) -> None:
        self.desk.answer()
        self.answered += not self.lost

    @precondition(lambda self: not self.lost and self.connection._room is None)  # as transports do it
    @rule()
    def stop_reading(self) -> None:
        self.connection.pause_writing()

    @precondition(lambda self: not self.lost and self.connection._room is not None)  # as transports do it
    @rule()
    def read_on(self) -> None:
        self.connection.resume_writing()

    @precondition(lambda self: not self.lost and not self.wire.closed)
    @rule()
    def end(self) -> None:
        if not self.connection.eof_received():
            self.lose()

    @precondition(lambda self: not self.lost)
    @rule()
    def lose(self) -> None:
        self.lost = True
        self.connection.connection_lost(None)

    @precondition(lambda self: not self.lost)
    @rule(seconds=st.sampled_from([1.0, 30.0, 100.0]))
    def wait(self, seconds: float) -> None:
        self.desk.now += seconds
        if self.connection.overdue and self.desk.now >= self.connection.overdue:
            self.connection.time_out()
            if self.wire.aborted:
                self.lose()

    @precondition(lambda self: not self.lost)
    @rule()
    def drain(self) -> None:
        self.desk.draining = True
        self.connection.hang_up()

    @invariant()
    def one_at_a_time(self) -> None:
        assert len(self.desk.handled) <= 1
        assert self.connection.current is (self.desk.handled[0] if self.desk.handled and not self.lost else None)

    @invariant()
    def answers_are_counted(self) -> None:
        sent = [status for status in statuses(self.wire) if status != 100]
        assert len([status for status in sent if status == 200]) == self.answered
        assert len(sent) - self.answered == len(self.desk.refused) <= 1

    @invariant()
    def nothing_waits_for_ever(self) -> None:
        idle = self.connection.current is None
        assert self.lost or not idle or self.connection.overdue, "nobody is served, and nobody looks at the clock"

    @invariant()
    def all_is_given_back(self) -> None:
        assert self.desk.held >= 0
        if self.lost:
            assert self.desk.held == 0
            assert not self.desk.connections


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=150, stateful_step_count=30)

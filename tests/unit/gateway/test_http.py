"""One connection: order, time, back-pressure and the ways it ends, without a network and with a clock set by hand."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.unit.gateway.sockets import Desk, Wire, arrive, connect

GET = b"GET /g HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde"
CLOSE = b"GET /c HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
BAD = b"GET /b HTTP/1.1\r\n\r\n"


def statuses(wire: Wire) -> list[int]:
    return [int(part[:3]) for part in wire.sent.split(b"HTTP/1.1 ")[1:]]


# --- answers ----------------------------------------------------------------------------------------------------------


def test_an_answer_in_full() -> None:
    desk, wire, connection = connect()
    arrive(connection, GET)
    (request,) = desk.handled
    connection.respond(request, 200, b"text/plain", b"body", ((b"x-more", b"1"),))
    assert wire.sent == (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ndate: today\r\n"
        b"content-length: 4\r\nx-more: 1\r\nx-request-id: r0\r\n\r\nbody"
    )
    assert request.finished


def test_large_answers_are_not_copied_together() -> None:
    desk, wire, connection = connect()
    arrive(connection, GET)
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
    arrive(connection, GET.replace(b"GET", method))
    desk.answer(body, status)
    head, _, rest = wire.sent.partition(b"\r\n\r\n")
    assert (b"content-length: %d" % len(body) in head) is length
    assert rest == sent


async def test_streams_are_chunked() -> None:
    desk, wire, connection = connect()
    arrive(connection, GET)
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
    arrive(connection, GET)
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
    arrive(connection, GET)
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
    arrive(connection, GET)
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
    arrive(connection, GET + POST + GET)
    for target in (b"/g", b"/p", b"/g"):
        (request,) = desk.handled
        assert request.target == target
        desk.answer()
    assert statuses(wire) == [200, 200, 200]


def test_refusals_wait_for_their_turn() -> None:
    desk, wire, connection = connect()
    arrive(connection, GET + GET + BAD + GET)
    desk.answer()
    assert statuses(wire) == [200]
    desk.answer()
    assert statuses(wire) == [200, 200, 400]
    assert wire.ended
    assert desk.refused == [400]
    assert desk.handled == []


def test_nothing_is_said_after_close() -> None:
    desk, wire, connection = connect()
    arrive(connection, GET + CLOSE + GET)
    desk.answer()
    desk.answer()
    assert statuses(wire) == [200, 200]
    assert wire.ended
    arrive(connection, GET)
    assert desk.handled == []


def test_reading_stops_when_enough_waits() -> None:
    desk, wire, connection = connect()
    arrive(connection, GET * 20)
    assert wire.reads == [True]
    arrive(connection, GET * 100)
    for _ in range(119):
        desk.answer()
    assert wire.reads == [True, False]
    desk.answer()
    assert wire.reads == [True, False, True]


def test_bytes_that_wait_are_counted_until_they_are_handled() -> None:
    desk, _, connection = connect()
    arrive(connection, GET + POST + POST + POST[:-2])
    assert desk.held == 13
    for left in (8, 3, 3):
        desk.answer()
        assert desk.held == left
    arrive(connection, b"de")
    assert desk.held == 0
    arrive(connection, POST[:-1])
    connection.connection_lost(None)
    assert desk.held == 0


def test_a_client_that_sends_when_all_is_full_is_refused() -> None:
    desk, wire, connection = connect(Desk(max_held=4))
    arrive(connection, POST[:-2])
    assert desk.refused == []
    desk.held += 2
    arrive(connection, b"d")
    assert (desk.refused, desk.held) == ([429], 2)
    assert b"retry-after: 1\r\n" in wire.sent
    assert wire.ended


def test_one_connection_too_many_is_told_so() -> None:
    desk, wire, connection = connect(Desk(full=True))
    assert statuses(wire) == [503]
    arrive(connection, GET)
    assert desk.handled == []


# --- time -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "after"),
    [(b"", 10.0), (GET[:-2], 10.0), (POST[:-2], 60.0), (POST[:-2] + b"d", 60.0), (GET, None)],
)
def test_how_long_a_client_may_take(data: bytes, after: float | None) -> None:
    desk, _, connection = connect()
    arrive(connection, data)
    assert connection.overdue == (0.0 if after is None else desk.now + after)


def test_time_is_not_extended_by_more_of_the_same() -> None:
    desk, _, connection = connect()
    arrive(connection, GET[:20])
    began = connection.overdue
    desk.now += 5
    arrive(connection, GET[20:25])
    assert connection.overdue == began
    desk.now += 1
    arrive(connection, POST[:-1].replace(b"POST", GET[25:] + b"POST"))
    desk.answer()
    assert connection.overdue == desk.now + 60


def test_between_requests_there_is_rest() -> None:
    desk, _, connection = connect()
    arrive(connection, GET)
    desk.answer()
    assert connection.overdue == desk.now + 75
    arrive(connection, GET[:10])
    assert connection.overdue == desk.now + 10


def test_a_half_sent_request_behind_an_answer_has_its_own_time() -> None:
    desk, _, connection = connect()
    arrive(connection, GET + GET[:10])
    assert connection.overdue == 0.0
    desk.answer()
    assert connection.overdue == desk.now + 10


@pytest.mark.parametrize(("data", "told"), [(GET[:10], [408]), (POST[:-2], [408]), (b"", []), (b"GE", [])])
def test_what_a_slow_client_is_told(data: bytes, told: list[int]) -> None:
    desk, wire, connection = connect()
    arrive(connection, data)
    connection.time_out()
    assert desk.refused == statuses(wire) == told
    assert wire.ended
    assert not wire.aborted
    connection.time_out()
    assert wire.aborted


def test_a_client_that_does_not_read_is_cut_off() -> None:
    desk, wire, connection = connect()
    arrive(connection, GET + GET)
    connection.pause_writing()
    assert connection.overdue == desk.now + 60
    desk.answer()
    assert connection.overdue == desk.now + 60
    assert desk.handled == [], "more answers would pile up"
    connection.time_out()
    assert wire.aborted


def test_a_client_that_reads_again_is_served_again() -> None:
    desk, _, connection = connect()
    arrive(connection, GET + GET)
    connection.pause_writing()
    desk.answer()
    connection.resume_writing()
    (request,) = desk.handled
    assert connection.overdue == 0.0
    assert connection.current is request


def test_lingering_lasts_while_the_client_sends_but_not_for_ever() -> None:
    desk, wire, connection = connect()
    arrive(connection, BAD)
    assert wire.ended
    assert connection.overdue == desk.now + 2
    for _ in range(100):
        desk.now += 1
        arrive(connection, b"more")
    assert connection.overdue == 1000 + 60
    assert statuses(wire) == [400]


def test_last_words_that_are_stuck_get_more_time() -> None:
    desk, wire, connection = connect()
    arrive(connection, CLOSE)
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
    arrive(connection, GET[:5])
    assert not connection.eof_received()


def test_a_client_that_is_done_with_sending_gets_its_answers() -> None:
    desk, wire, connection = connect()
    arrive(connection, GET + GET + GET[:5])
    assert connection.eof_received()
    assert connection.overdue == desk.now + 0.5
    desk.answer()
    desk.answer()
    assert wire.closed
    assert statuses(wire) == [200, 200], "closed with the last answer, not before"


def test_tls_cannot_end_one_side() -> None:
    _, _, connection = connect(tls=True)
    arrive(connection, GET)
    assert not connection.eof_received()
    desk, wire, connection = connect(tls=True)
    arrive(connection, CLOSE)
    desk.answer()
    assert wire.closed
    _, wire, connection = connect(tls=True)
    arrive(connection, BAD)
    assert not wire.closed, "the client has more to send, and a reset would take the answer from it"


def test_hanging_up_spares_whoever_is_busy() -> None:
    for data, spared in ((b"", False), (GET, True), (GET[:5], True), (POST[:-1], True)):
        _, wire, connection = connect()
        arrive(connection, data)
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
        arrive(connection, data)
        assert connection.leave() is None
        assert not wire.aborted
    desk, wire, connection = connect(client=client)
    arrive(connection, GET)
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
    arrive(connection, GET[:5])
    began = connection.overdue
    connection.inherit()
    assert connection.overdue == began == desk.now + desk.header_timeout


def test_draining_closes_with_the_last_answer() -> None:
    desk, wire, connection = connect()
    arrive(connection, GET + GET)
    desk.draining = True
    desk.answer()
    assert b"connection: close" not in wire.sent
    desk.answer()
    assert wire.sent.count(b"connection: close") == 1
    assert wire.ended


async def test_draining_ends_a_stream_that_has_begun() -> None:
    desk, wire, connection = connect()
    arrive(connection, GET)
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
        arrive(self.connection, data)

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


LARGE_BODY = bytes(range(256)) * 1000


def large(body: bytes, *headers: bytes) -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"POST /p HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n%b\r\n%b" % (len(body), lines, body)


@pytest.mark.parametrize("piece", [1 << 16, 10_000, 333, 1 << 20])
def test_a_large_body_is_read_to_its_place(piece: int) -> None:
    desk, _, connection = connect(Desk(max_body=1 << 20, max_held=1 << 20))
    for number in range(3):
        arrive(connection, large(LARGE_BODY), piece)
        assert desk.handled[-1].body == LARGE_BODY
        assert desk.handled[-1].size == len(LARGE_BODY)
        assert desk.held == 0
        desk.answer()
        assert desk.rooms == [len(LARGE_BODY)] * (number + 1)
    arrive(connection, GET)
    assert desk.handled[-1].method == "GET"


def test_what_follows_a_large_body_is_the_next_request() -> None:
    desk, wire, connection = connect(Desk(max_body=1 << 20, max_held=1 << 20))
    arrive(connection, large(LARGE_BODY) + GET + large(LARGE_BODY) + GET, 5000)
    for length in (len(LARGE_BODY), 0, len(LARGE_BODY), 0):
        assert desk.handled[0].size == length
        desk.answer()
    assert desk.handled == []
    assert wire.sent.count(b"200 OK") == 4


def test_a_large_body_that_stops_arriving_times_out_and_what_comes_later_is_ignored() -> None:
    desk, wire, connection = connect(Desk(max_body=1 << 20, max_held=1 << 20))
    arrive(connection, large(LARGE_BODY)[:-1000])
    assert desk.held == len(LARGE_BODY) - 1000
    desk.now += desk.body_timeout
    connection.time_out()
    assert desk.refused == [408]
    assert b" 408 " in wire.sent
    assert desk.held == 0
    arrive(connection, LARGE_BODY[-1000:] + GET)
    assert desk.handled == []


def test_large_bodies_count_towards_what_is_held() -> None:
    desk, wire, connection = connect(Desk(max_body=1 << 20, max_held=100_000))
    arrive(connection, large(LARGE_BODY), 1000)
    assert desk.refused == [429]
    assert b" 429 " in wire.sent
    assert desk.handled == []
    assert desk.held == 0


def test_a_client_that_goes_away_within_a_large_body_leaves_nothing() -> None:
    desk, _, connection = connect(Desk(max_body=1 << 20, max_held=1 << 20))
    arrive(connection, large(LARGE_BODY)[:-1])
    connection.connection_lost(None)
    assert desk.held == 0
    assert desk.connections == set()


def test_who_waits_to_be_told_is_told_before_a_large_body() -> None:
    desk, wire, connection = connect(Desk(max_body=1 << 20, max_held=1 << 20))
    request = large(LARGE_BODY, b"expect: 100-continue")
    arrive(connection, request[: -len(LARGE_BODY)])
    assert wire.sent == b"HTTP/1.1 100 Continue\r\n\r\n"
    arrive(connection, LARGE_BODY)
    assert desk.handled[0].body == LARGE_BODY


def test_chunked_bodies_are_read_by_the_parser() -> None:
    desk, _, connection = connect(Desk(max_body=1 << 20, max_held=1 << 20))
    head = b"POST /p HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (LARGE_BODY, b"abc", b"d" * 9, LARGE_BODY))
    arrive(connection, head + chunks + b"0\r\n\r\n", 7000)
    assert desk.rooms == []
    assert desk.handled[0].body == LARGE_BODY + b"abc" + b"d" * 9 + LARGE_BODY

"""Bytes to requests: limits, and the same outcome for the same bytes in whatever pieces."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kapelle.gateway import heads
from kapelle.gateway.familiar import FamiliarHeads
from kapelle.gateway.problems import HttpError
from kapelle.gateway.receiver import Phase, Receiver
from kapelle.gateway.request import Request
from tests.unit.gateway.recorder import Recorder


@dataclass
class Read:
    """What came of some bytes."""

    familiar: FamiliarHeads = field(default_factory=FamiliarHeads)
    requests: list[Request] = field(default_factory=list)
    refusal: HttpError | None = None
    receiver: Receiver = field(init=False)

    def __post_init__(self) -> None:
        self.receiver = Receiver(Recorder(), self.requests.append, 1000, self.familiar)

    def feed(self, *pieces: bytes) -> Read:
        for piece in pieces:
            if self.refusal is None:
                self.refusal = self.receiver.feed(piece)
                if self.refusal is not None:
                    self.receiver.stop()
        return self

    def outcome(self) -> object:
        told = [(one.method, one.target, one.headers, one.body, one.version, one.keep_alive) for one in self.requests]
        refused = None if self.refusal is None else (self.refusal.status, self.refusal.detail)
        return told, refused, self.receiver.phase


def read(*pieces: bytes) -> Read:
    return Read().feed(*pieces)


GET = b"GET /a?b=c HTTP/1.1\r\nHost: h\r\nX-Note: Some Value\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde"
CHUNKED = b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: 1\r\n\r\n"
UPGRADE = b"GET /u HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
UPGRADE_POST = POST.replace(b"Host: h", b"Host: h\r\nConnection: upgrade\r\nUpgrade: websocket")
CLOSE = b"GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
OLD = b"GET /0 HTTP/1.0\r\n\r\n"
BAD = b"GET /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\nabcde"
LARGE = b"POST /l HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n" + b"x" * 1001
CREEPING = b"POST /l HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + b"64\r\n%b\r\n" % (b"x" * 100) * 11
FAT = b"GET /f HTTP/1.1\r\nHost: h\r\n" + b"X: %b\r\n" % (b"y" * 7000) * 5 + b"\r\n"


def test_a_request_has_all_that_was_sent() -> None:
    (request,) = read(GET).requests
    assert (request.method, request.target, request.version) == ("GET", b"/a?b=c", "1.1")
    assert request.headers == [(b"host", b"h"), (b"x-note", b"Some Value")]
    assert (request.body, request.size, request.keep_alive) == (b"", 0, True)


def test_bodies() -> None:
    requests = read(POST + CHUNKED + GET).requests
    assert [(one.body, one.size) for one in requests] == [(b"abcde", 5), (b"abcde", 5), (b"", 0)]
    assert all(type(one.body) is bytes for one in requests)


def test_trailers_are_no_headers() -> None:
    first, second = read(CHUNKED + GET).requests
    assert b"t" not in dict(first.headers)
    assert b"t" not in dict(second.headers)


def test_an_offer_to_upgrade_is_ignored() -> None:
    result = read(UPGRADE + UPGRADE_POST + UPGRADE + GET)
    assert result.refusal is None
    assert [(one.target, one.body) for one in result.requests] == [
        (b"/u", b""),
        (b"/p", b"abcde"),
        (b"/u", b""),
        (b"/a?b=c", b""),
    ]


@pytest.mark.parametrize(
    ("data", "phase", "held"),
    [(b"", Phase.IDLE, 0), (GET[:10], Phase.HEAD, 0), (POST[:-2], Phase.BODY, 3), (POST + GET[:-1], Phase.HEAD, 0)],
)
def test_it_knows_what_it_waits_for(data: bytes, phase: Phase, held: int) -> None:
    receiver = read(data).receiver
    assert (receiver.phase, receiver.held) == (phase, held)


def test_the_wish_to_be_asked_lasts_until_the_body_is_there() -> None:
    data = POST.replace(b"Host: h", b"Host: h\r\nExpect: 100-continue")
    result = read(data[:-5])
    assert result.receiver.owes_continue
    assert not result.feed(data[-5:]).receiver.owes_continue


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (BAD, 400),
        (LARGE, 413),
        (CREEPING, 413),
        (FAT, 431),
        (b"GET /%b HTTP/1.1\r\n" % (b"a" * heads.MAX_TARGET), 414),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * (heads.MAX_HEADERS + 2), 431),
        (CLOSE + GET, 400),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"\x00", 400),
    ],
)
def test_refusals(data: bytes, status: int) -> None:
    refusal = read(data).refusal
    assert refusal is not None
    assert refusal.status == status


def test_what_came_before_a_refusal_stands() -> None:
    result = read(GET + POST + BAD + GET)
    assert [one.target for one in result.requests] == [b"/a?b=c", b"/p"]
    assert result.receiver.refused().target == b"/b"


def test_a_refused_request_keeps_the_id_that_was_read() -> None:
    assert read(b"GET /q HTTP/1.1\r\nX-Request-Id: mine\r\nA: b\r\nbroken\r\n").receiver.refused().id == "mine"
    assert read(LARGE).receiver.refused().method == "POST"


def test_lines_without_an_end_are_not_kept() -> None:
    for start in (b"GET / HTTP/1.1\r\nX: ", b"GET / HTTP/1.1\r\n", b"\r\n" * 5, CHUNKED[:-2]):
        result = read(start, *[b"a" * 1000] * 100)
        assert result.refusal is not None
        assert result.refusal.status in (400, 431)


def test_it_is_deaf_after_a_stop() -> None:
    result = read(POST[:-2])
    result.receiver.stop()
    assert result.receiver.held == 0
    assert result.feed(b"de" + GET).requests == []


def test_it_is_deaf_to_what_is_familiar_too() -> None:
    result = read(POST, POST)
    result.receiver.stop()
    assert len(result.feed(POST).requests) == 2


messages = st.sampled_from([GET, POST, CHUNKED, UPGRADE, UPGRADE_POST, CLOSE, OLD, BAD, LARGE, CREEPING, FAT])
streams = st.lists(st.one_of(messages, st.binary(max_size=30)), min_size=1, max_size=4).map(b"".join)


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # a head may be that large
@given(data=streams, cuts=st.lists(st.integers(0, 2**16), max_size=12))
@example(data=UPGRADE_POST + GET, cuts=[80])
@example(data=FAT + GET, cuts=list(range(0, 40_000, 1000)))
@example(data=GET + FAT, cuts=[2337])
def test_pieces_make_no_difference(data: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pieces = [data[start:end] for start, end in pairwise(places)]
    assert read(*pieces).outcome() == read(data).outcome()


pieces = st.lists(
    st.one_of(
        messages,
        messages.map(lambda one: one[:-1]),
        messages.map(lambda one: one[1:]),
        st.tuples(messages, st.binary(max_size=3)).map(b"".join),
        st.binary(max_size=8),
    ),
    min_size=1,
    max_size=6,
)


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@given(pieces=pieces, before=st.lists(messages, max_size=8))
@example(pieces=[POST, POST, POST], before=[])
@example(pieces=[b"G", GET], before=[GET])
@example(pieces=[POST + b"\r", POST, GET], before=[POST, GET])
@example(pieces=[POST + b"P", GET], before=[POST, GET])
@example(pieces=[POST + b"P", b"OST" + POST[4:]], before=[POST])
@example(pieces=[POST[:-1], b"e" + GET], before=[POST, GET])
@example(pieces=[GET, CLOSE, GET], before=[GET, CLOSE])
def test_familiar_heads_make_no_difference(pieces: list[bytes], before: list[bytes]) -> None:
    """What is known of a head, from this connection or from others, changes nothing about what comes of the bytes."""
    familiar = FamiliarHeads()
    for message in before:
        Read(familiar).feed(message)
    assert Read(familiar).feed(*pieces).outcome() == Read(Unfamiliar()).feed(*pieces).outcome()


class Unfamiliar(FamiliarHeads):
    """Knows nothing, whatever it met."""

    def find(self, start: bytes, size: int) -> None:
        return None


@given(data=streams)
def test_byte_by_byte_as_well(data: bytes) -> None:
    assert read(*[bytes([byte]) for byte in data]).outcome() == read(data).outcome()

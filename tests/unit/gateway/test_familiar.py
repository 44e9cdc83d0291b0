"""Which heads are known again, and when a parser may be spared."""

from __future__ import annotations

import pytest

from kapelle.gateway import familiar
from kapelle.gateway.familiar import LONGEST, FamiliarHeads
from kapelle.gateway.request import Request
from tests.unit.gateway.recorder import Recorder

HEAD = b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n"
HEADERS = [(b"host", b"h"), (b"content-length", b"5")]


def request(*headers: tuple[bytes, bytes]) -> Request:
    return Request("POST", b"/p", [*HEADERS, *headers], Recorder(), "1.1")


def met(*headers: tuple[bytes, bytes]) -> FamiliarHeads:
    known = FamiliarHeads()
    assert known.meet(HEAD + b"abcde", len(HEAD) + 5, request(*headers), 5)
    return known


def test_the_same_head_before_as_long_a_body_is_known() -> None:
    known = met()
    found = known.find(HEAD + b"vwxyz", len(HEAD) + 5)
    assert found is not None
    head, end = found
    assert (head.method, head.target, head.headers, head.length, end) == ("POST", b"/p", HEADERS, 5, len(HEAD))


@pytest.mark.parametrize(
    ("start", "size"),
    [
        (HEAD + b"vwxyz", len(HEAD) + 6),
        (HEAD + b"vwxy", len(HEAD) + 4),
        (HEAD.replace(b"/p", b"/q") + b"vwxyz", len(HEAD) + 5),
        (HEAD.replace(b"Host", b"host") + b"vwxyz", len(HEAD) + 5),
        (HEAD[1:] + b"vwxyz", len(HEAD) + 4),
        (b"\r\n" + HEAD + b"vwxyz", len(HEAD) + 7),
        (HEAD[:-1], len(HEAD) - 1),
        (b"", 0),
    ],
)
def test_anything_else_is_not(start: bytes, size: int) -> None:
    assert met().find(start, size) is None


def test_a_request_that_was_not_all_that_came_teaches_nothing() -> None:
    known = FamiliarHeads()
    assert not known.meet(HEAD + b"abcdeGET", len(HEAD) + 8, request(), 5)
    assert known.find(HEAD + b"abcde", len(HEAD) + 5) is None


@pytest.mark.parametrize("name", [b"transfer-encoding", b"expect", b"upgrade", b"connection"])
def test_what_changes_the_way_of_the_parser_is_left_to_it(name: bytes) -> None:
    known = FamiliarHeads()
    assert not known.meet(HEAD + b"abcde", len(HEAD) + 5, request((name, b"x")), 5)
    assert known.find(HEAD + b"abcde", len(HEAD) + 5) is None


def test_the_last_request_of_a_connection_is_left_to_it_too() -> None:
    last = request()
    last.keep_alive = False
    assert not FamiliarHeads().meet(HEAD + b"abcde", len(HEAD) + 5, last, 5)


@pytest.mark.parametrize("name", [b"x-request-id", b"traceparent", b"authorization", b"proxy-authorization", b"cookie"])
def test_what_belongs_to_one_request_or_one_person_is_not_kept(name: bytes) -> None:
    assert met((name, b"secret")).find(HEAD + b"abcde", len(HEAD) + 5) is None


def test_there_is_room_for_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(familiar, "_MOST", 3)
    known = FamiliarHeads()
    heads = [HEAD.replace(b"/p", b"/%d" % number) for number in range(5)]
    for head in heads:
        known.meet(head + b"abcde", len(head) + 5, request(), 5)
    kept = [known.find(head + b"abcde", len(head) + 5) is not None for head in heads]
    assert kept == [False, False, False, True, True]


def test_a_long_head_is_not_kept() -> None:
    known = FamiliarHeads()
    head = HEAD.replace(b"Host: h", b"Host: h\r\nX: %b" % (b"x" * LONGEST))
    assert not known.meet(head[:LONGEST], len(head) + 5, request(), 5)

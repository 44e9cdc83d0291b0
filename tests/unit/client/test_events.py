from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kapelle.client.asking import Answer
from kapelle.client.events import Event, Events, Items
from kapelle.errors import ContractError, ReplicaLost, UserCodeError

HEAD = Answer(200, {"content-type": "text/event-stream; charset=utf-8"}, b"")


def read(*pieces: bytes) -> list[Event]:
    events = Events()
    return [event for piece in pieces for event in events.feed(piece)]


@pytest.mark.parametrize(
    ("stream", "found"),
    [
        (b"data: 1\n\n", [Event("", b"1")]),
        (b"data:1\n\ndata:  2\n\n", [Event("", b"1"), Event("", b" 2")]),
        (b"event: error\ndata: {}\n\n", [Event("error", b"{}")]),
        (b"data: a\ndata: b\n\n", [Event("", b"a\nb")]),
        (b": a comment\nid: 1\nretry: 5\n\n", []),
        (b"event: lost\n\ndata: 1\n\n", [Event("", b"1")]),
        (b"data\n\n", [Event("", b"")]),
        (b"data: 1\n", []),
    ],
)
def test_events(stream: bytes, found: list[Event]) -> None:
    assert read(stream) == found


@given(st.data(), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_pieces_of_any_size_and_all_ends_of_lines(data: st.DataObject, end: bytes) -> None:
    stream = b"data: one\nevent: error\ndata: two\n\n: note\ndata: three\n\n".replace(b"\n", end)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert read(*pieces) == [Event("error", b"one\ntwo"), Event("", b"three")]


def test_an_event_that_has_begun() -> None:
    events = Events()
    for piece, unfinished in [(b"da", True), (b"ta: 1\n", True), (b"\n", False), (b": note\n", False)]:
        list(events.feed(piece))
        assert events.unfinished is unfinished


def test_items_of_a_type() -> None:
    items = Items(HEAD, int)
    assert list(items.feed(b"data: 1\n\ndata: 2\n\n")) == [1, 2]
    items.end()
    with pytest.raises(ContractError, match=r"Expected `int`, got `str`"):
        list(items.feed(b'data: "1"\n\n'))


def test_the_items_before_an_error_come_first() -> None:
    items = Items(HEAD, int).feed(
        b'data: 1\n\nevent: error\ndata: {"type":"urn:kapelle:error:user-code","status":500,"detail":"it failed"}\n\n'
    )
    assert next(items) == 1
    with pytest.raises(UserCodeError, match="it failed"):
        next(items)


def test_an_end_in_the_middle() -> None:
    items = Items(HEAD, int)
    list(items.feed(b"data: 1"))
    with pytest.raises(ReplicaLost, match="in the middle of an item"):
        items.end()


def test_what_is_no_stream() -> None:
    with pytest.raises(ContractError, match="got an answer of application/json"):
        Items(Answer(200, {"content-type": "application/json"}, b""), int)

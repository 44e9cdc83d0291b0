"""The bytes of every message: what they are is a contract between versions, so a change of them must be meant."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from kapelle.errors import WireError
from kapelle.wire import messages as m
from kapelle.wire import wishes as w

NOTHING = msgspec.Raw(b"\xc0")

TO_REPLICA: list[m.Message] = [
    m.Hello(m.PROTOCOL, "gateway-0"),
    m.Call(7, "embed", 3, 2, 1.5, "5f1c-2a", "00-0af7-b7ad-01", NOTHING, "r7"),
    m.Cancel(7),
    m.Ping(300),
    m.Credit(7, 16),
    m.TurnToReplica([m.Cancel(7), m.Ping(300)]),
]
FROM_REPLICA: list[m.Message] = [
    m.Welcome(m.PROTOCOL, "Cluster", "Cluster-1", {"r7": [0, 2]}),
    m.Done(7, NOTHING),
    m.Failed(7, "invalid-input", "expected numbers only", "$.vector", 2),
    m.Refused(7, "full"),
    m.Item(7, NOTHING, 12),
    m.Pong(300),
    m.Unready("draining"),
    m.Readied(),
    m.Dropped(7),
    m.Holds({"r7": [0], "r8": [0, 1]}),
    m.TurnFromReplica([m.Done(7, NOTHING), m.Pong(300)]),
]
TO_PROCESS: list[m.Message] = [
    m.Probe(1),
    m.Scrape(2),
    m.Drain(30.0),
    m.Members(4, [m.Member("Cluster-1", "replica", "Cluster", [0, 2], "unix:d", "unix:c", True)]),
    m.Attend(),
    m.Prepare(12, 3, "r8", [0, 2]),
    m.Retire(12, 4, "r7", [1]),
    m.Route(12, 5, "r7", m.Side("r8", 0.5, True)),
    m.Rest(12, 6, "r8"),
    m.AskGolden(12, "r8"),
    m.TakePulse(),
]
FROM_PROCESS: list[m.Message] = [
    m.Health(1, "ready", "", 3, 2, 4711),
    m.Scraped(2, NOTHING),
    m.Acquainted(4),
    m.Report(
        9, 12, {"r8": 5}, {"r7": [0, 2]}, ["r8"], {"r6": "no weights"}, (11, "r7"), {"r7": 3}, m.Side("r8", 0.5, False)
    ),
    m.GoldenAnswer(12, "r8", "golden query 1: expected 2"),
    m.Pulse({"r7": NOTHING}),
    m.About("encoder-1", "replica", "Encoder", "node1", "5f1c2a", 1.5),
]
TO_CONTROLLER: list[m.Message] = [
    m.Probe(1),
    m.Scrape(2),
    w.StatusQuery(),
    w.Publish("r8", 0.5, True),
    w.Rollback(),
    w.CancelPublish(),
]
FROM_CONTROLLER: list[m.Message] = [
    m.Health(1, "ready", "", 3, 2, 4711),
    m.Scraped(2, NOTHING),
    w.StatusAnswer(b"{}"),
    w.Told("r8: verifying"),
    w.Over("r8", "committed", "trusted"),
]

DIRECTIONS: dict[str, tuple[Any, list[m.Message]]] = {
    "to replica": (m.ToReplica, TO_REPLICA),
    "from replica": (m.FromReplica, FROM_REPLICA),
    "to process": (m.ToProcess, TO_PROCESS),
    "from process": (m.FromProcess, FROM_PROCESS),
    "to controller": (w.ToController, TO_CONTROLLER),
    "from controller": (w.FromController, FROM_CONTROLLER),
}
ALL = pytest.mark.parametrize(("union", "samples"), DIRECTIONS.values(), ids=DIRECTIONS.keys())


def golden(samples: list[m.Message]) -> dict[str, bytes]:
    return {type(message).__name__: m.encode(message) for message in samples}


@ALL
def test_every_message_of_a_direction_has_a_sample(union: Any, samples: list[m.Message]) -> None:
    assert [type(message) for message in samples] == list(get_args(union))


@ALL
def test_every_message_survives_the_journey(union: Any, samples: list[m.Message]) -> None:
    decode = m.Decoder[m.Message](union)
    for message in samples:
        arrived = decode(m.encode(message))
        assert arrived == message


@ALL
def test_a_newer_side_may_add_fields_at_the_end(union: Any, samples: list[m.Message]) -> None:
    decode = m.Decoder[m.Message](union)
    for message in samples:
        tag, *values = msgspec.msgpack.decode(m.encode(message))
        arrived = decode(msgspec.msgpack.encode([tag, *values, "something new"]))
        assert arrived == message


def test_to_replica() -> None:
    assert golden(TO_REPLICA) == snapshot(
        {
            "Hello": b"\x93\x01\x03\xa9gateway-0",
            "Call": b"\x9a\x02\x07\xa5embed\x03\x02\xcb?\xf8\x00\x00\x00\x00\x00\x00\xa75f1c-2a\xaf00-0af7-b7ad-01\xc0\xa2r7",
            "Cancel": b"\x92\x03\x07",
            "Ping": b"\x92\x04\xcd\x01,",
            "Credit": b"\x93\x05\x07\x10",
            "TurnToReplica": b"\x92\x06\x92\x92\x03\x07\x92\x04\xcd\x01,",
        }
    )


def test_from_replica() -> None:
    assert golden(FROM_REPLICA) == snapshot(
        {
            "Welcome": b"\x97\x01\x03\xa7Cluster\xa9Cluster-1\x81\xa2r7\x92\x00\x02\xa0\xa0",
            "Done": b"\x93\x02\x07\xc0",
            "Failed": b"\x96\x03\x07\xadinvalid-input\xb5expected numbers only\xa8$.vector\x02",
            "Refused": b"\x93\x04\x07\xa4full",
            "Item": b"\x94\x05\x07\xc0\x0c",
            "Pong": b"\x92\x06\xcd\x01,",
            "Unready": b"\x92\x07\xa8draining",
            "Readied": b"\x91\x08",
            "Dropped": b"\x92\t\x07",
            "Holds": b"\x92\n\x82\xa2r7\x91\x00\xa2r8\x92\x00\x01",
            "TurnFromReplica": b"\x92\x0b\x92\x93\x02\x07\xc0\x92\x06\xcd\x01,",
        }
    )


def test_to_process() -> None:
    assert golden(TO_PROCESS) == snapshot(
        {
            "Probe": b"\x92\x01\x01",
            "Scrape": b"\x92\x02\x02",
            "Drain": b"\x92\x03\xcb@>\x00\x00\x00\x00\x00\x00",
            "Members": b"\x93\x04\x04\x91\x97\xa9Cluster-1\xa7replica\xa7Cluster\x92\x00\x02\xa6unix:d\xa6unix:c\xc3",
            "Attend": b"\x91\x05",
            "Prepare": b"\x95\x06\x0c\x03\xa2r8\x92\x00\x02",
            "Retire": b"\x95\x07\x0c\x04\xa2r7\x91\x01",
            "Route": b"\x95\x08\x0c\x05\xa2r7\x93\xa2r8\xcb?\xe0\x00\x00\x00\x00\x00\x00\xc3",
            "Rest": b"\x94\x0e\x0c\x06\xa2r8",
            "AskGolden": b"\x93\t\x0c\xa2r8",
            "TakePulse": b"\x91\n",
        }
    )


def test_from_process() -> None:
    assert golden(FROM_PROCESS) == snapshot(
        {
            "Health": b"\x98\x01\x01\xa5ready\xa0\x03\x02\xcd\x12g\x00",
            "Scraped": b"\x93\x02\x02\xc0",
            "Acquainted": b"\x92\x04\x04",
            "Report": b"\x9a\x05\t\x0c\x81\xa2r8\x05\x81\xa2r7\x92\x00\x02\x91\xa2r8\x81\xa2r6\xaano weights"
            b"\x92\x0b\xa2r7\x81\xa2r7\x03\x93\xa2r8\xcb?\xe0\x00\x00\x00\x00\x00\x00\xc2",
            "GoldenAnswer": b"\x94\x06\x0c\xa2r8\xbagolden query 1: expected 2",
            "Pulse": b"\x92\x07\x81\xa2r7\xc0",
            "About": b"\x97\x08\xa9encoder-1\xa7replica\xa7Encoder\xa5node1\xa65f1c2a\xcb?\xf8\x00\x00\x00\x00\x00\x00",
        }
    )


def test_to_and_from_controller() -> None:
    assert golden(TO_CONTROLLER[2:] + FROM_CONTROLLER[2:]) == snapshot(
        {
            "StatusQuery": b"\x91\x05",
            "Publish": b"\x94\x0b\xa2r8\xcb?\xe0\x00\x00\x00\x00\x00\x00\xc3",
            "Rollback": b"\x91\x0c",
            "CancelPublish": b"\x91\r",
            "StatusAnswer": b"\x92\x03\xc4\x02{}",
            "Told": b"\x92\x08\xadr8: verifying",
            "Over": b"\x94\t\xa2r8\xa9committed\xa7trusted",
        }
    )


@ALL
@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x00",
        b"\x90",
        b"\x91\x63",
        b"\x91\x01",
        b"\x93\x01\xa1x\x01",
        b"\x91\xa5Hello",
        b"\x81\xa4type\x01",
        b"\x92\x04",
        b"\xc1",
        b"\x91" * 5000,
        b"\x92\x01\xdd\xff\xff\xff\xff",
    ],
    ids=lambda head: head[:6].hex() or "empty",
)
def test_what_is_no_message_is_refused(union: Any, samples: list[m.Message], head: bytes) -> None:
    with pytest.raises(WireError, match="not a message of this direction"):
        m.Decoder[m.Message](union)(head)


def test_text_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(WireError, match="not a message of this direction"):
        m.Decoder[m.Message](m.ToReplica)(b"\x93\x01\x01\xa2\xff\xfe")


def test_a_payload_nested_without_end_is_refused() -> None:
    with pytest.raises(WireError, match="not a message of this direction"):
        m.Decoder[m.Message](m.FromReplica)(b"\x93\x02\x01" + b"\x91" * 100_000)


@given(head=st.binary(max_size=60), direction=st.sampled_from(list(DIRECTIONS)))
def test_any_bytes_are_a_message_or_a_wire_error(head: bytes, direction: str) -> None:
    union, _ = DIRECTIONS[direction]
    try:
        message = m.Decoder[m.Message](union)(head)
    except WireError:
        return
    assert isinstance(message, get_args(union))

"""Messages come by themselves or with the others of their turn: whoever hears them sees no difference."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kapelle.errors import WireError
from kapelle.wire import messages as m
from kapelle.wire.turns import said_by_replica, said_to_replica

ASKS = st.sampled_from([m.Cancel(7), m.Ping(300), m.Credit(7, 16), m.Hello(m.PROTOCOL, "gateway-0")])
ANSWERS = st.sampled_from(
    [m.Done(7, msgspec.Raw(b"\xc0")), m.Pong(300), m.Readied(), m.Dropped(7), m.Refused(7, "full")]
)


@given(asks=st.lists(ASKS, min_size=1), answers=st.lists(ANSWERS, min_size=1))
def test_what_was_said_in_a_turn_is_heard_in_its_order(
    asks: list[m.OneToReplica], answers: list[m.OneFromReplica]
) -> None:
    assert said_to_replica(m.encode(m.TurnToReplica(asks))) == asks
    assert said_by_replica(m.encode(m.TurnFromReplica(answers))) == answers


def test_one_message_is_a_turn_of_its_own() -> None:
    assert list(said_to_replica(m.encode(m.Ping(1)))) == [m.Ping(1)]
    assert list(said_by_replica(m.encode(m.Pong(1)))) == [m.Pong(1)]


@pytest.mark.parametrize(
    "head",
    [
        m.encode(m.TurnToReplica([])),
        msgspec.msgpack.encode([6, [[6, [[3, 7]]]]]),
        msgspec.msgpack.encode([6, [[3, 7], [11, []]]]),
        msgspec.msgpack.encode([6, [[3]]]),
        msgspec.msgpack.encode([6, {}]),
    ],
    ids=["of nothing", "of a turn", "of the other direction", "with half a message", "without a list"],
)
def test_a_turn_that_is_none_is_refused(head: bytes) -> None:
    with pytest.raises(WireError, match="not a message of this direction"):
        said_to_replica(head)

"""A replica obeys, says what it has, and is there for others when there is nothing for it to hold."""

from __future__ import annotations

from typing import Any, cast

import pytest

from kapelle.wire import messages
from kapelle.worker.duties import Duties

REPORT = messages.Report(1, 0, {}, {}, [], {})


class Replica:
    """A worker and its keeper, as far as duties look at them."""

    report = REPORT

    def __init__(self, *, begins_empty: bool) -> None:
        self.obeyed: list[messages.Order] = []
        self.opened = 0
        self.duties = Duties(cast(Any, self), cast(Any, self), begins_empty=begins_empty)

    def obey(self, order: messages.Order) -> None:
        self.obeyed.append(order)

    def open(self) -> None:
        self.opened += 1


def test_whoever_attends_hears_what_it_has() -> None:
    assert Replica(begins_empty=False).duties.told(messages.Attend()) == REPORT


@pytest.mark.parametrize("shards", [[], [0, 2]])
def test_orders_are_obeyed(shards: list[int]) -> None:
    replica = Replica(begins_empty=False)
    order = messages.Prepare(1, 1, "r1", shards)
    assert replica.duties.told(order) is None
    assert replica.obeyed == [order]
    assert not replica.opened


def test_one_that_is_to_hold_nothing_is_there_all_the_same() -> None:
    replica = Replica(begins_empty=True)
    opened = []
    for number, shards in enumerate(([0], [], [])):
        replica.duties.told(messages.Prepare(1, number, "r1", shards))
        opened.append(replica.opened)
    assert opened == [0, 1, 2]


def test_what_is_meant_for_gateways_is_nothing_to_it() -> None:
    replica = Replica(begins_empty=True)
    assert replica.duties.told(messages.TakePulse()) is None
    assert not replica.obeyed

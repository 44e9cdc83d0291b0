"""A trial asks on until it is closed, and compares what all gateways have counted together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from kapelle.control import trial
from kapelle.control.trial import Trial
from kapelle.core.vitals import Vitals


def counted(requests: int, failures: int = 0) -> msgspec.Raw:
    vitals = Vitals()
    for number in range(requests):
        vitals.observe(500 if number < failures else 200, 0.01)
    return msgspec.Raw(msgspec.msgpack.encode(vitals))


@contextmanager
def on_trial() -> Iterator[Trial]:
    made = Trial("r1", "r2", lambda: None)
    try:
        yield made
    finally:
        made.close()


async def test_it_asks_at_once_and_again_until_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_EVERY", 0.0)
    asked = asyncio.Semaphore(0)
    made = Trial("r1", "r2", asked.release)
    for _ in range(3):
        await asked.acquire()
    made.close()
    while not asked.locked():
        await asked.acquire()
    for _ in range(5):
        await asyncio.sleep(0)
    assert asked.locked()


async def test_gateways_count_together() -> None:
    with on_trial() as made:
        said = {"r1": counted(200), "r2": counted(100, 2)}
        assert made.heard("gateway-0", said) is None, "two failures say nothing"
        assert made.heard("gateway-0", said) is None, "nor does it when they are told again"
        breach = made.heard("gateway-1", {"r1": counted(200), "r2": counted(20, 18)})
        assert breach == "16.7 % of 120 requests failed, 0.0 % of 400 on r1"


async def test_one_that_has_not_seen_both_says_nothing() -> None:
    with on_trial() as made:
        assert made.heard("gateway-0", {"r2": counted(100, 100)}) is None
        assert made.heard("gateway-1", {"r7": counted(10)}) is None
        assert made.heard("gateway-2", {"r1": counted(100)}) is not None


async def test_what_cannot_be_read_changes_nothing() -> None:
    with on_trial() as made:
        made.heard("gateway-0", {"r1": counted(200), "r2": counted(100)})
        assert made.heard("gateway-0", {"r1": msgspec.Raw(b"\x91\x01"), "r2": msgspec.Raw(b"\xc0")}) is None
        assert made.heard("gateway-1", {"r2": counted(60, 60)}) is not None, "the first still counts"

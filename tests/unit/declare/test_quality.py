"""Scores go to the request that they are about, from wherever its code runs; anything but a number is refused."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from decimal import Decimal
from math import inf, nan
from typing import Any

import numpy as np
import pytest

from kapelle.declare.context import RequestContext, current_request, enter_request
from kapelle.declare.quality import ScoredRequest, quality
from kapelle.errors import ContractError


class Judge:
    def __init__(self) -> None:
        self.scores: list[float] = []

    def add(self, score: float) -> None:
        self.scores.append(score)


class WaitsForCompany(Judge):
    """Has every score meet another one that is being added."""

    def __init__(self) -> None:
        super().__init__()
        self.meeting = threading.Barrier(2)

    def add(self, score: float) -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            self.meeting.wait(0.2)
            raise AssertionError("two threads added a score at once")
        super().add(score)


def enter(judge: Judge) -> None:
    enter_request(ScoredRequest("r-1", "", 1.0, "r6", add_quality=judge.add))


async def test_scores_go_to_their_own_request() -> None:
    both_entered = asyncio.Barrier(2)

    async def serve(judge: Judge, score: float) -> None:
        enter(judge)
        await both_entered.wait()
        quality(score)
        await asyncio.to_thread(quality, 2 * score)

    one, other = Judge(), Judge()
    await asyncio.gather(serve(one, 0.25), serve(other, 0.5))
    assert (one.scores, other.scores) == ([0.25, 0.5], [0.5, 1.0])


def test_threads_of_one_request_take_turns() -> None:
    judge = WaitsForCompany()
    context = Context()
    context.run(enter, judge)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda each: each.run(quality, 1.0), [context.copy(), context.copy()]))
    assert judge.scores == [1.0, 1.0]


def test_outside_of_the_gateway_a_score_goes_nowhere() -> None:
    Context().run(quality, 0.5)

    def in_a_service() -> None:
        enter_request(RequestContext("r-1", "", 1.0, "r6"))
        quality(0.5)

    Context().run(in_a_service)


@pytest.mark.parametrize(
    ("score", "value"), [(1, 1.0), (True, 1.0), (np.float32(0.5), 0.5), (np.int64(3), 3.0), (-1e100, -1e100)]
)
def test_numbers_of_all_kinds(score: Any, value: float) -> None:
    judge = Judge()
    context = Context()
    context.run(enter, judge)
    context.run(quality, score)
    assert judge.scores == [value]
    assert type(judge.scores[0]) is float


@pytest.mark.parametrize("score", [nan, inf, -inf, 1e101, "0.5", None, np.ones(1), 1j, Decimal(1), np.float32(nan)])
def test_all_else_is_refused(score: Any) -> None:
    judge = Judge()
    context = Context()
    context.run(enter, judge)
    with pytest.raises(ContractError, match=r"quality was given .*; expected a number from -1e100 to 1e100"):
        context.run(quality, score)
    with pytest.raises(ContractError):
        Context().run(quality, score)
    assert judge.scores == []


def test_it_is_a_request_like_any_other() -> None:
    context = Context()
    judge = Judge()
    context.run(enter, judge)
    request = context.run(current_request)
    assert isinstance(request, RequestContext)
    assert (request.id, request.release) == ("r-1", "r6")
    assert hash(request) == hash(context.run(current_request))

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kapelle.client.asking import Answer, Ask, Failure, Options
from kapelle.client.attempts import FIRST_WAIT, LONGEST_WAIT, Course, Rules
from kapelle.core.budget import Budget
from kapelle.errors import (
    CallError,
    ContractError,
    DeadlineExceeded,
    InvalidInput,
    Overloaded,
    ReplicaLost,
    Unavailable,
    UserCodeError,
)

ASK: Ask[Any] = Ask("POST", "/x", lambda answer: answer.body)
FULL = Answer(429, {"retry-after": "2"}, b"")


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def course(
    ask: Ask[Any] = ASK,
    *,
    retries: int = 3,
    timeout: float | None = 30.0,
    chance: float = 0.5,
    reserve: float = 10.0,
    time: Time | None = None,
) -> Course:
    return Course(
        ask,
        Rules(retries, timeout),
        Budget(ratio=0, reserve=reserve),
        {"x-request-id": "r-1"},
        now=time or Time(),
        chance=lambda: chance,
    )


def test_waits_grow_and_are_drawn_at_random() -> None:
    lost = Failure(ReplicaLost("gone"), reached=True)
    begun = course(chance=1.0, retries=9, timeout=None)
    waits = [begun.wait(lost) for _ in range(8)]
    assert waits == [min(LONGEST_WAIT, FIRST_WAIT * 2**number) for number in range(8)]
    assert course(chance=0.0).wait(lost) == 0.0


def test_what_the_server_asks_for_comes_first() -> None:
    assert course(chance=0.5).wait(FULL) == 2 + FIRST_WAIT / 2


@pytest.mark.parametrize(
    ("error", "reached", "repeated", "repeated_though_not_idempotent"),
    [
        (Overloaded(), False, True, True),
        (Unavailable(), False, True, True),
        (Unavailable(), True, True, False),
        (ReplicaLost(), True, True, False),
        (DeadlineExceeded(), True, False, False),
        (InvalidInput(), False, False, False),
        (ContractError(), True, False, False),
        (UserCodeError(), True, False, False),
        (CallError(), True, False, False),
    ],
)
def test_what_is_repeated(
    error: CallError, reached: bool, repeated: bool, repeated_though_not_idempotent: bool
) -> None:
    once = replace(ASK, options=Options(idempotent=False))
    for ask, expected in ((ASK, repeated), (once, repeated_though_not_idempotent)):
        if expected:
            assert course(ask).wait(Failure(error, reached)) >= 0
        else:
            with pytest.raises(type(error)):
                course(ask).wait(Failure(error, reached))


@pytest.mark.parametrize(("status", "repeated"), [(429, True), (503, True), (502, False)])
def test_refusals_have_not_been_run(status: int, repeated: bool) -> None:
    begun = course(replace(ASK, options=Options(idempotent=False)))
    if repeated:
        assert begun.wait(Answer(status, {"retry-after": "1"}, b"")) >= 1
    else:
        with pytest.raises(ReplicaLost):
            begun.wait(Answer(status, {}, b""))


def test_what_is_tried_once() -> None:
    with pytest.raises(Overloaded):
        course(replace(ASK, repeat=False)).wait(FULL)


def test_the_error_says_which_request_and_how_often() -> None:
    begun = course(retries=1)
    begun.wait(FULL)
    with pytest.raises(Overloaded, match=r"\(request r-1, 2 attempts\)") as refused:
        begun.wait(FULL)
    assert refused.value.retry_after == 2
    with pytest.raises(Overloaded, match=r"\(request r-1\)"):
        course(retries=0).wait(FULL)


def test_no_waiting_for_what_comes_too_late() -> None:
    assert course(timeout=3.0).wait(FULL) < 3
    with pytest.raises(Overloaded):
        course(timeout=2.0).wait(FULL)


def test_the_budget_bounds_repeats() -> None:
    with pytest.raises(Overloaded):
        course(reserve=0.5).wait(FULL)
    begun = course(reserve=1.0)
    begun.wait(FULL)
    with pytest.raises(Overloaded):
        begun.wait(FULL)


def test_what_is_given_up_for_lack_of_time_costs_the_budget_nothing() -> None:
    budget = Budget(ratio=0, reserve=1)
    begun = Course(ASK, Rules(3, 1.0), budget, {"x-request-id": "r"}, now=Time())
    with pytest.raises(Overloaded):
        begun.wait(FULL)
    assert budget.spend()


def test_one_deadline_for_all_attempts() -> None:
    time = Time()
    begun = course(timeout=10.0, time=time)
    assert (begun.begin(), begun.left) == (10, 10)
    time.now += 9.9999
    assert begun.patience == pytest.approx(0.001)
    time.now += 1
    with pytest.raises(DeadlineExceeded, match=r"no answer within 10 s \(request r-1\)"):
        begun.begin()


def test_no_deadline() -> None:
    begun = course(timeout=None)
    assert begun.begin() is None
    assert begun.left == math.inf


def test_reading_fails_with_the_id_of_the_request() -> None:
    def read(answer: Answer) -> None:
        raise ContractError("not that")

    ask: Ask[None] = Ask("GET", "/", read)
    with pytest.raises(ContractError, match=r"not that \(request r-1\)"):
        course(ask).read(ask, Answer(200, {}, b""))
    assert course().read(ASK, Answer(200, {}, b"it")) == b"it"


@given(
    outcomes=st.lists(st.sampled_from([429, 502, 503, 504, 500, 422]), min_size=1, max_size=12),
    retries=st.integers(0, 5),
    timeout=st.floats(0.1, 60),
    chance=st.floats(0, 1),
    idempotent=st.booleans(),
)
def test_every_call_ends_in_time(
    outcomes: list[int], retries: int, timeout: float, chance: float, idempotent: bool
) -> None:
    time = Time()
    begun = course(
        replace(ASK, options=Options(idempotent=idempotent)), retries=retries, timeout=timeout, chance=chance, time=time
    )
    attempts = 0

    def run() -> None:
        nonlocal attempts
        for status in [*outcomes, 500]:
            attempts += 1
            time.now += begun.wait(Answer(status, {}, b""))
            assert begun.left > 0

    with pytest.raises(CallError):
        run()
    assert attempts <= retries + 1

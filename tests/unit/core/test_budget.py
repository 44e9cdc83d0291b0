"""Extra attempts add a fraction to the load and never multiply it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kapelle.core.budget import Budget


def drain(budget: Budget) -> int:
    count = 0
    while budget.spend():
        count += 1
    return count


@given(
    ratio=st.floats(0.0, 1.0),
    reserve=st.floats(0.0, 50.0),
    events=st.lists(st.booleans(), max_size=300),
)
def test_extra_attempts_stay_within_the_reserve_and_the_share_of_the_calls(
    ratio: float, reserve: float, events: list[bool]
) -> None:
    budget = Budget(ratio=ratio, reserve=reserve)
    calls = spent = 0
    for is_call in events:
        if is_call:
            budget.earn()
            calls += 1
        else:
            spent += budget.spend()
        assert spent <= reserve + ratio * calls + 1e-9
    assert drain(budget) <= reserve, "what is kept never exceeds the reserve"


@given(reserve=st.integers(0, 100))
def test_it_starts_full_and_refuses_when_empty(reserve: int) -> None:
    budget = Budget(ratio=0.2, reserve=reserve)
    assert drain(budget) == reserve
    assert not budget.spend()


def test_calls_earn_their_share_back() -> None:
    budget = Budget(ratio=0.25, reserve=10)
    drain(budget)
    for _ in range(8):
        budget.earn()
    assert drain(budget) == 2


def test_calls_do_not_earn_more_than_the_reserve() -> None:
    budget = Budget(ratio=0.9, reserve=1.9)
    for _ in range(3):
        assert budget.spend()
        budget.earn()
        budget.earn()
    assert drain(budget) == 1


def test_repr_shows_what_is_left() -> None:
    budget = Budget(ratio=0.2, reserve=5)
    budget.spend()
    assert repr(budget) == "<Budget 4.0 of 5>"

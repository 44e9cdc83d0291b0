"""A ticket ends once, whatever happens to it, and is repeated only where that is safe."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kapelle.core.budget import Budget
from kapelle.core.ticket import MAX_ATTEMPTS, MAX_REFUSALS, Setback, Ticket, TicketClosedError, Verdict

DEADLINE = 10.0
STEPS = MAX_ATTEMPTS + MAX_REFUSALS


def plenty() -> Budget:
    return Budget(ratio=0.0, reserve=1000.0)


def carry_out(
    ticket: Ticket, budget: Budget, happenings: Sequence[tuple[Setback, float]]
) -> tuple[int, Setback | None]:
    """Try until a verdict ends it or nothing more goes wrong: the number of attempts, and the last setback if any."""
    for number, (kind, now) in enumerate(happenings, 1):
        ticket.attempt(f"replica-{number}")
        if ticket.setback(kind, now, budget) is Verdict.GIVE_UP:
            ticket.close()
            return number, kind
    ticket.attempt("last")
    ticket.close()
    return len(happenings) + 1, None


def lost(times: int) -> list[tuple[Setback, float]]:
    return [(Setback.LOST, 0.0)] * times


def refused(times: int) -> list[tuple[Setback, float]]:
    return [(Setback.REFUSED, 0.0)] * times


@given(
    idempotent=st.booleans(),
    reserve=st.integers(0, 5),
    happenings=st.lists(
        st.tuples(st.sampled_from(Setback), st.floats(0.0, 2 * DEADLINE)), min_size=STEPS, max_size=STEPS
    ).map(lambda steps: sorted(steps, key=lambda step: step[1])),
)
def test_a_ticket_has_one_outcome_after_a_bounded_number_of_attempts(
    idempotent: bool, reserve: int, happenings: list[tuple[Setback, float]]
) -> None:
    ticket = Ticket(deadline=DEADLINE, idempotent=idempotent)
    attempts, _ = carry_out(ticket, Budget(ratio=0.0, reserve=reserve), happenings)
    begun = [kind for kind, now in happenings[: attempts - 1] if kind is Setback.LOST]

    assert attempts < STEPS
    assert ticket.attempts == attempts == len(ticket.tried)
    assert len(begun) <= (reserve if idempotent else 0), "work that was begun is repeated within the budget only"
    assert all(now < DEADLINE for _, now in happenings[: attempts - 1]), "nothing is repeated after the deadline"
    assert ticket.closed
    with pytest.raises(TicketClosedError):
        ticket.close()
    with pytest.raises(TicketClosedError):
        ticket.attempt("another")
    assert ticket.setback(Setback.REFUSED, 0.0, plenty()) is Verdict.GIVE_UP


def test_an_idempotent_call_is_tried_a_few_times() -> None:
    assert carry_out(Ticket(deadline=DEADLINE), plenty(), lost(STEPS)) == (MAX_ATTEMPTS, Setback.LOST)


def test_a_call_with_side_effects_is_not_repeated_once_it_was_begun() -> None:
    assert carry_out(Ticket(deadline=DEADLINE, idempotent=False), plenty(), lost(STEPS)) == (1, Setback.LOST)


def test_a_refused_call_may_run_elsewhere_even_with_side_effects_and_without_a_budget() -> None:
    ticket = Ticket(deadline=DEADLINE, idempotent=False)
    assert carry_out(ticket, Budget(ratio=0.0, reserve=0.0), refused(STEPS)) == (MAX_REFUSALS, Setback.REFUSED)


def test_refusals_do_not_use_up_the_attempts_of_a_lost_call() -> None:
    happenings = refused(5) + lost(MAX_ATTEMPTS - 1)
    assert carry_out(Ticket(deadline=DEADLINE), plenty(), happenings) == (len(happenings) + 1, None)


def test_each_repeated_attempt_is_paid_from_the_budget() -> None:
    budget = Budget(ratio=0.0, reserve=3.0)
    ends = [carry_out(Ticket(deadline=DEADLINE), budget, lost(STEPS))[0] for _ in range(3)]
    assert ends == [3, 2, 1]


def test_it_remembers_who_had_it_in_order() -> None:
    ticket = Ticket(deadline=DEADLINE, rows=4)
    ticket.attempt("a")
    ticket.attempt("b")
    assert ticket.tried == ("a", "b")
    assert repr(ticket) == "<Ticket open, 4 rows, 2 attempts, 0 refused>"
    ticket.close()
    assert repr(ticket) == "<Ticket closed, 4 rows, 2 attempts, 0 refused>"

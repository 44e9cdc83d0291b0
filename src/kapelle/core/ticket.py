"""A ticket: one call to a service, from admission to its one outcome.

The ticket knows whether it has ended, and whether a failed attempt may be repeated; who carries it out asks.
"""

from __future__ import annotations

from enum import Enum

from kapelle.core.budget import Budget

MAX_ATTEMPTS = 3
MAX_REFUSALS = 16


class Setback(Enum):
    """Why an attempt brought no outcome."""

    REFUSED = "refused"
    """The replica did not begin it; repeating is always safe."""
    LOST = "lost"
    """The replica vanished with it in its hands; repeating is safe only for an idempotent method."""


class Verdict(Enum):
    """What to do after a setback."""

    RETRY = "retry"
    GIVE_UP = "give up"


class TicketClosedError(Exception):
    """A second outcome for a ticket: a bug in whoever reports it."""


class Ticket:
    """The state of one call. ``deadline`` is absolute; ``tried`` are the replicas that had it, in order."""

    __slots__ = ("attempts", "closed", "deadline", "idempotent", "refusals", "rows", "tried")

    def __init__(self, *, deadline: float, rows: int = 1, idempotent: bool = True) -> None:
        self.deadline = deadline
        self.rows = rows
        self.idempotent = idempotent
        self.attempts = 0
        self.refusals = 0
        self.tried: tuple[str, ...] = ()
        self.closed = False

    def attempt(self, replica: str) -> None:
        """The ticket is handed to ``replica``."""
        if self.closed:
            raise TicketClosedError(f"handed to {replica} after its end")
        self.attempts += 1
        self.tried = (*self.tried, replica)

    def close(self) -> None:
        """The one outcome."""
        if self.closed:
            raise TicketClosedError("a second outcome")
        self.closed = True

    def setback(self, kind: Setback, now: float, budget: Budget) -> Verdict:
        """An attempt brought no outcome: whether to make another."""
        if self.closed or now >= self.deadline:
            return Verdict.GIVE_UP
        if kind is Setback.REFUSED:
            self.refusals += 1
            return Verdict.RETRY if self.refusals < MAX_REFUSALS else Verdict.GIVE_UP
        if not self.idempotent or self.attempts - self.refusals >= MAX_ATTEMPTS:
            return Verdict.GIVE_UP
        return Verdict.RETRY if budget.spend() else Verdict.GIVE_UP

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        return f"<Ticket {state}, {self.rows} rows, {self.attempts} attempts, {self.refusals} refused>"

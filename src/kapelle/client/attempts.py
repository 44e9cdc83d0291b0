"""When a call is tried again, and when it is given up: decided here for both clients, without a clock or a socket.

Only what may succeed soon is repeated: refusals for lack of room or of replicas, replicas that were lost, connections that
were not made or broke. What may have been worked on is repeated only where that does no harm. Waits grow exponentially and
are drawn at random, so that clients who were refused together do not return together; a server's ``Retry-After`` comes
first. A budget bounds what repeats add to the load, and one deadline counts for all attempts.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kapelle.client.asking import Answer, Ask, Failure, T
from kapelle.client.failures import noted, refusal
from kapelle.clock import Clock, monotonic
from kapelle.core.budget import Budget
from kapelle.errors import CallError, DeadlineExceeded, Overloaded, ReplicaLost, Unavailable

FIRST_WAIT = 0.1
LONGEST_WAIT = 5.0
SHORTEST_WAIT = 0.001

REQUEST_ID = "x-request-id"

Chance = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Rules:
    """How often a call may be repeated, and how long all of it may take; None is for ever."""

    retries: int
    timeout: float | None


class Course:
    """One call, attempt by attempt: a shell sends ``ask`` with ``headers``, and is told what follows from what came."""

    def __init__(
        self,
        ask: Ask[Any],
        rules: Rules,
        budget: Budget,
        headers: Mapping[str, str],
        now: Clock = monotonic,
        chance: Chance = random.random,
    ) -> None:
        self.ask = ask
        self.headers = headers
        self._rules = rules
        self._budget = budget
        self._now = now
        self._chance = chance
        self._failed = 0
        self.deadline = math.inf if rules.timeout is None else now() + rules.timeout
        budget.earn()

    @property
    def left(self) -> float:
        """Seconds until the deadline; infinite where there is none."""
        return self.deadline - self._now()

    def begin(self) -> float | None:
        """An attempt begins; how long it may take.

        Raises:
            DeadlineExceeded: no time is left for it.
        """
        if self.left <= 0:
            raise self.explained(self.late())
        return self.patience

    @property
    def patience(self) -> float | None:
        """``left`` as a time-out: None for none, and never 0, which some libraries take for none."""
        return None if math.isinf(self.deadline) else max(self.left, SHORTEST_WAIT)

    def read(self, ask: Ask[T], answer: Answer) -> T:
        """The value that was asked for.

        Raises:
            ContractError: the answer is something else.
        """
        try:
            return ask.read(answer)
        except CallError as error:
            raise self.explained(error) from None

    def late(self) -> DeadlineExceeded:
        """The error for a call whose time is over."""
        return DeadlineExceeded(f"no answer within {self._rules.timeout or 0:g} s")

    def wait(self, outcome: Answer | Failure) -> float:
        """Seconds to wait until the next attempt, after one that came to nothing.

        Raises:
            CallError: there is no next attempt.
        """
        error = outcome.error if isinstance(outcome, Failure) else refusal(outcome)
        self._failed += 1
        if not self._may_repeat(error, outcome):
            raise self.explained(error)
        pause = self._pause(error)
        if pause >= self.left or not self._budget.spend():
            raise self.explained(error)
        return pause

    def explained(self, error: CallError) -> CallError:
        """``error`` with the id that the logs have of this call, and how often it was tried."""
        tried = [f"{self._failed} attempts"] if self._failed > 1 else []
        return noted(error, f"request {self.headers[REQUEST_ID]}", *tried)

    def _may_repeat(self, error: CallError, outcome: Answer | Failure) -> bool:
        if self._failed > self._rules.retries or not self.ask.repeat:
            return False
        if not isinstance(error, Overloaded | Unavailable | ReplicaLost):
            return False
        if self.ask.options.idempotent:
            return True
        if isinstance(outcome, Failure):
            return not outcome.reached
        return not isinstance(error, ReplicaLost)

    def _pause(self, error: CallError) -> float:
        most = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (self._failed - 1))
        # Those that are told the same second are spread, too.
        return _asked_for(error) + most * self._chance()


def _asked_for(error: CallError) -> float:
    return error.retry_after if isinstance(error, Overloaded | Unavailable) else 0.0

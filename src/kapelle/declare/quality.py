"""Quality as the app itself sees it: scores of its answers, by which a new release is compared to the old one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from numbers import Real

from kapelle.declare.context import RequestContext, current_request
from kapelle.errors import ContractError

_LARGEST = 1e100
_one_at_a_time = threading.Lock()


class ScoredRequest(RequestContext, frozen=True, gc=False, kw_only=True):
    """A request in the gateway. ``add_quality`` takes the scores of its answer for the release it is pinned to.

    ``way`` gets the calls that were made for it: the method, the replica that answered, and the seconds it took.
    """

    add_quality: Callable[[float], None]
    way: list[tuple[str, str, float]] = []  # noqa: RUF012 - msgspec copies it for each

    def __hash__(self) -> int:
        # Lists have no hash, and the way grows.
        return hash((self.id, self.release))


def quality(score: float) -> None:
    """Say how good the answer of this request is: any number, higher is better, such as the best match's score.

    While a new release is on trial, its mean is compared to that of the release before it. To be called by the app, or
    by what runs in the gateway for it; outside of a request, and in the processes of services, a score goes nowhere.

    Raises:
        ContractError: ``score`` is not a number, is NaN, or is beyond 1e100 either way.
    """
    value = _checked(score)
    request = current_request()
    if isinstance(request, ScoredRequest):
        # The app may run code in threads.
        with _one_at_a_time:
            request.add_quality(value)


def _checked(score: object) -> float:
    # NumPy's numbers are real ones, too. Squares of scores are added up, and must stay finite.
    if not isinstance(score, Real) or not -_LARGEST <= (value := float(score)) <= _LARGEST:
        raise ContractError(f"quality was given {score!r}; expected a number from -1e100 to 1e100, higher being better")
    return value

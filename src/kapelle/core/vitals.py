"""The vitals of a release, and whether those of a new one are worse than those of the old."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate
from math import inf, sqrt
from typing import Annotated

import msgspec

BUCKETS = 80
# Four buckets to a doubling tell times apart that differ by a fifth; the last begins at 74 s, beyond usual timeouts.
BOUNDS = tuple(1e-4 * 2 ** (index / 4) for index in range(BUCKETS - 1))
"""Where the buckets of the latency histogram end, in seconds; the last one has no end."""

_Latency = Annotated[list[int], msgspec.Meta(min_length=BUCKETS, max_length=BUCKETS)]


class Vitals(msgspec.Struct, array_like=True):
    """Counts of one release in one gateway, or the sum of several; they only grow, and travel as they are.

    ``latency`` counts requests by bucket of ``BOUNDS``. Of the ``scores`` given as quality, the sum and the sum of
    squares are kept. ``+`` and ``-`` make new ones.
    """

    latency: _Latency = msgspec.field(default_factory=lambda: [0] * BUCKETS)
    failures: int = 0
    scores: int = 0
    score_sum: float = 0.0
    score_squares: float = 0.0

    @property
    def requests(self) -> int:
        """Requests that were answered, however they were."""
        return sum(self.latency)

    def observe(self, status: int, seconds: float) -> None:
        """A request was answered with ``status`` after ``seconds``."""
        self.latency[bisect_left(BOUNDS, seconds)] += 1
        if status >= 500:
            self.failures += 1

    def add_quality(self, score: float) -> None:
        """A score, finite also when squared; higher is better."""
        self.scores += 1
        self.score_sum += score
        self.score_squares += score * score

    def quantile(self, share: float) -> float:
        """The seconds within which ``share`` (0 to 1) of the requests were answered, as exactly as the buckets tell.

        Raises:
            ValueError: there were no requests.
        """
        wanted = share * self.requests
        for index, reached in enumerate(accumulate(self.latency)):
            count = self.latency[index]
            if count and reached >= wanted:
                low = BOUNDS[index - 1] if index else 0.0
                high = BOUNDS[index] if index < len(BOUNDS) else low
                return high - (high - low) * (reached - wanted) / count
        raise ValueError("no requests, so no latency; expected at least one")

    def __add__(self, other: Vitals) -> Vitals:
        """Both together: two gateways' counts of one release."""
        return Vitals(
            [mine + theirs for mine, theirs in zip(self.latency, other.latency, strict=True)],
            self.failures + other.failures,
            self.scores + other.scores,
            self.score_sum + other.score_sum,
            self.score_squares + other.score_squares,
        )

    def __sub__(self, earlier: Vitals) -> Vitals:
        """What came since ``earlier``, which are counts of the same.

        Raises:
            ValueError: they are not: a gateway that starts anew counts from 0.
        """
        since = Vitals(
            [now - then for now, then in zip(self.latency, earlier.latency, strict=True)],
            self.failures - earlier.failures,
            self.scores - earlier.scores,
            self.score_sum - earlier.score_sum,
            self.score_squares - earlier.score_squares,
        )
        if min(*since.latency, since.failures, since.scores) < 0:
            raise ValueError(
                f"{self.requests} requests are not a continuation of {earlier.requests}; subtract earlier counts of the "
                "same gateways"
            )
        return since


@dataclass(frozen=True, slots=True)
class Limits:
    """What a new release may do worse before it counts as worse.

    A difference must be clear (too large for chance) and matter (larger than its margin). ``z`` and ``t`` are in standard
    errors, one-sided; ``failure_margin`` is a share of the requests, ``latency_margin`` is in seconds,
    ``quality_margin`` a share of the old mean, or of ``quality_floor`` where the mean is closer to 0.
    """

    min_failures: int = 3
    failure_z: float = 4.0
    failure_margin: float = 0.01
    min_requests: int = 100
    latency_factor: float = 2.0
    latency_margin: float = 0.005
    min_scores: int = 30
    quality_t: float = 4.0
    quality_margin: float = 0.02
    quality_floor: float = 0.01


DEFAULT_LIMITS = Limits()


def breach(old: Vitals, new: Vitals, limits: Limits = DEFAULT_LIMITS, than: str = "the old release") -> str | None:
    """Why the new release is worse than the old one, called ``than``, in a sentence; None if it is not, or not clearly.

    Both are of the same time, so that whatever hits the whole system hits both.
    """
    return (
        _more_failures(old, new, limits, than)
        or _slower(old, new, limits, than)
        or _worse_answers(old, new, limits, than)
    )


def _more_failures(old: Vitals, new: Vitals, limits: Limits, than: str) -> str | None:
    if new.failures < limits.min_failures or not old.requests:
        return None
    before, now = old.failures / old.requests, new.failures / new.requests
    both = (old.failures + new.failures) / (old.requests + new.requests)
    error = sqrt(both * (1 - both) * (1 / old.requests + 1 / new.requests))
    if now <= before + limits.failure_margin or _ratio(now - before, error) < limits.failure_z:
        return None
    return f"{100 * now:.1f} % of {new.requests:,} requests failed, {100 * before:.1f} % of {old.requests:,} on {than}"


def _slower(old: Vitals, new: Vitals, limits: Limits, than: str) -> str | None:
    if min(old.requests, new.requests) < limits.min_requests:
        return None
    before, now = old.quantile(0.9), new.quantile(0.9)
    if now <= limits.latency_factor * before + limits.latency_margin:
        return None
    return (
        f"the slowest tenth of {new.requests:,} requests took more than {1000 * now:,.1f} ms, "
        f"more than {1000 * before:,.1f} ms of {old.requests:,} on {than}"
    )


def _worse_answers(old: Vitals, new: Vitals, limits: Limits, than: str) -> str | None:
    if min(old.scores, new.scores) < limits.min_scores:
        return None
    before, now = old.score_sum / old.scores, new.score_sum / new.scores
    margin = limits.quality_margin * max(abs(before), limits.quality_floor)
    # Welch's: the two need not vary alike.
    error = sqrt(_variance(old) / old.scores + _variance(new) / new.scores)
    if before - now <= margin or _ratio(before - now, error) < limits.quality_t:
        return None
    return f"the mean quality of {new.scores:,} scores is {now:.4g}, {before:.4g} of {old.scores:,} on {than}"


def _variance(vitals: Vitals) -> float:
    # Rounding may take the difference below 0 where all scores are nearly the same.
    return max(0.0, vitals.score_squares - vitals.score_sum**2 / vitals.scores) / (vitals.scores - 1)


def _ratio(difference: float, error: float) -> float:
    return difference / error if error else inf

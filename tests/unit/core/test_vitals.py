"""Vitals add up whatever the order, and a release is called worse when it is, hardly ever when it is not."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kapelle.core.vitals import BOUNDS, BUCKETS, Limits, Vitals, breach

requests = st.lists(
    st.tuples(st.sampled_from([200, 404, 422, 429, 499, 500, 502, 503, 504]), st.floats(0, 1000)), max_size=30
)
# Sums of these are exact, whatever their order.
scores = st.lists(st.integers(-(2**20), 2**20).map(lambda number: number / 1024), max_size=30)


def counted(requests: list[tuple[int, float]], scores: list[float]) -> Vitals:
    vitals = Vitals()
    for status, seconds in requests:
        vitals.observe(status, seconds)
    for score in scores:
        vitals.add_quality(score)
    return vitals


vitals = st.builds(counted, requests, scores)


def of(requests: int = 0, *, failures: int = 0, seconds: float = 0.01, scores: tuple[float, ...] = ()) -> Vitals:
    """So many requests, so many of them failures, each as long; and these scores."""
    return counted([(500 if index < failures else 200, seconds) for index in range(requests)], list(scores))


# --- counting ---------------------------------------------------------------------------------------------------------


@given(requests, scores)
def test_everything_is_counted(requests: list[tuple[int, float]], scores: list[float]) -> None:
    got = counted(requests, scores)
    assert got.requests == len(requests)
    assert got.failures == sum(status >= 500 for status, _ in requests)
    assert (got.scores, got.score_sum) == (len(scores), sum(scores))
    assert got.score_squares == sum(score**2 for score in scores)


def test_times_go_into_buckets_of_a_fifth() -> None:
    assert len(BOUNDS) == BUCKETS - 1
    assert BOUNDS[0] == 1e-4
    assert BOUNDS[-1] > 60
    assert all(above / below == pytest.approx(2**0.25) for below, above in pairwise(BOUNDS))
    for seconds, bucket in ((0.0, 0), (1e-4, 0), (1.01e-4, 1), (2e-4, 4), (1e9, BUCKETS - 1)):
        assert of(1, seconds=seconds).latency.index(1) == bucket


@given(vitals, vitals, vitals)
def test_adding_does_not_depend_on_the_order(a: Vitals, b: Vitals, c: Vitals) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + Vitals() == a
    assert sum([a, b, c], Vitals()).requests == a.requests + b.requests + c.requests


@given(vitals, vitals)
def test_subtracting_undoes_adding(earlier: Vitals, since: Vitals) -> None:
    assert (earlier + since) - earlier == since
    assert earlier - earlier == Vitals()


@given(vitals, vitals)
def test_neither_changes_what_it_is_made_of(a: Vitals, b: Vitals) -> None:
    before = msgspec.json.encode([a, b])
    total = a + b
    total.observe(500, 1.0)
    difference = (a + b) - a
    difference.observe(500, 1.0)
    assert msgspec.json.encode([a, b]) == before


@pytest.mark.parametrize("earlier", [of(3), of(1, failures=1), of(1, scores=(1.0,)), of(1, seconds=0.5)])
def test_what_began_anew_is_no_continuation(earlier: Vitals) -> None:
    with pytest.raises(ValueError, match=r"2 requests are not a continuation of \d"):
        of(2) - earlier


@given(vitals)
def test_they_travel(given: Vitals) -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(given), type=Vitals) == given


def test_another_number_of_buckets_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="length"):
        msgspec.convert([[0] * 64, 0, 0, 0.0, 0.0], Vitals)


@given(st.lists(st.floats(1.001e-4, 60), min_size=1, max_size=50), st.floats(0.01, 1))
def test_quantiles_are_right_to_a_bucket(times: list[float], share: float) -> None:
    got = counted([(200, seconds) for seconds in times], []).quantile(share)
    # The time of the first request by which at least this share was answered.
    exact = next(one for place, one in enumerate(sorted(times), 1) if place >= share * len(times))
    assert exact / 2**0.25 * 0.999 <= got <= exact * 2**0.25 * 1.001


def test_quantiles_at_the_ends() -> None:
    assert of(1, seconds=1e9).quantile(0.9) == BOUNDS[-1]
    assert 0 <= of(1, seconds=0).quantile(0.0) <= BOUNDS[0]
    assert of(10, seconds=BOUNDS[8]).quantile(1.0) == BOUNDS[8]
    with pytest.raises(ValueError, match="no requests"):
        Vitals().quantile(0.5)


# --- comparing --------------------------------------------------------------------------------------------------------


def test_more_failures() -> None:
    old, new = of(4210, failures=4), of(310, failures=16)
    assert breach(old, new, than="r6") == "5.2 % of 310 requests failed, 0.1 % of 4,210 on r6"


def test_slower_answers() -> None:
    reason = breach(of(4210, seconds=0.0125), of(310, seconds=0.2), than="r6")
    assert reason is not None
    assert "of 310 requests" in reason
    assert "of 4,210 on r6" in reason
    assert 0.2 / 2**0.25 <= float(reason.split("more than ")[1].split(" ms")[0]) / 1000 <= 0.2 * 2**0.25


def test_worse_answers() -> None:
    reason = breach(of(scores=(0.9, 0.8) * 50), of(scores=(0.7, 0.6) * 20), than="r6")
    assert reason == "the mean quality of 40 scores is 0.65, 0.85 of 100 on r6"


@pytest.mark.parametrize(
    ("old", "below", "above"),
    [
        # The pooled share is 0.33, so the standard error is 0.067: 26 points are 3.9 of them, 27 are 4.04.
        (of(100, failures=20), of(100, failures=46), of(100, failures=47)),
        # The standard error is 0.051, nearly all of it the old release's; with a pooled variance it would be 0.092.
        (of(scores=(0.0, 1.0) * 50), of(scores=(0.25, 0.35) * 15), of(scores=(0.24, 0.34) * 15)),
    ],
    ids=["failures", "quality"],
)
def test_how_clear_a_difference_must_be(old: Vitals, below: Vitals, above: Vitals) -> None:
    assert breach(old, below) is None
    assert breach(old, above) is not None


def test_it_has_a_name_where_none_is_given() -> None:
    assert (breach(of(100), of(100, failures=50)) or "").endswith("0.0 % of 100 on the old release")


def test_all_the_same_scores_need_no_spread() -> None:
    assert breach(of(scores=(0.9,) * 30), of(scores=(0.8,) * 30)) is not None
    assert breach(of(scores=(0.9,) * 30), of(scores=(0.89,) * 30)) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(of(1000), of(4, failures=2), id="two-failures-are-not-enough"),
        pytest.param(of(100_000), of(10_000, failures=99), id="less-than-one-in-a-hundred-more"),
        pytest.param(of(10), of(10, failures=4), id="may-be-chance"),
        pytest.param(of(0), of(100, failures=100), id="nothing-to-compare-with"),
        pytest.param(of(100, failures=100), of(100, failures=100), id="both-broken"),
        pytest.param(of(100, failures=50), of(100, failures=3), id="fewer-failures"),
        pytest.param(of(99), of(1000, seconds=1), id="too-few-old-requests-for-times"),
        pytest.param(of(1000), of(99, seconds=1), id="too-few-new-requests-for-times"),
        pytest.param(of(1000), of(1000, seconds=0.019), id="less-than-twice-as-long"),
        pytest.param(of(1000, seconds=0.0005), of(1000, seconds=0.004), id="a-few-milliseconds"),
        pytest.param(of(1000, seconds=1), of(1000, seconds=0.01), id="faster"),
        pytest.param(of(scores=(1.0,) * 29), of(scores=(0.1,) * 1000), id="too-few-old-scores"),
        pytest.param(of(scores=(1.0,) * 1000), of(scores=(0.1,) * 29), id="too-few-new-scores"),
        pytest.param(of(scores=(0.5,) * 50), of(scores=(0.6,) * 50), id="better-answers"),
        pytest.param(of(scores=(0.0,) * 50), of(scores=(-0.0001,) * 50), id="a-mean-of-nothing"),
        pytest.param(of(scores=(1.0, -1.0) * 50), of(scores=(0.9, -1.1) * 50), id="scores-differ-more-anyway"),
    ],
)
def test_no_worse(old: Vitals, new: Vitals) -> None:
    assert breach(old, new) is None


@pytest.mark.parametrize(
    ("old", "new", "wider"),
    [
        (of(1000), of(100, failures=3), Limits(min_failures=4)),
        (of(1000), of(100, failures=3), Limits(failure_z=10.0)),
        (of(1000), of(100, failures=3), Limits(failure_margin=0.05)),
        (of(100), of(100, seconds=0.1), Limits(min_requests=101)),
        (of(100), of(100, seconds=0.1), Limits(latency_factor=20.0)),
        (of(100), of(100, seconds=0.1), Limits(latency_margin=0.2)),
        (of(scores=(0.0, 1.0) * 50), of(scores=(-0.5, 0.5) * 50), Limits(min_scores=101)),
        (of(scores=(0.0, 1.0) * 50), of(scores=(-0.5, 0.5) * 50), Limits(quality_t=8.0)),
        (of(scores=(0.0, 1.0) * 50), of(scores=(-0.5, 0.5) * 50), Limits(quality_margin=1.5)),
        (of(scores=(0.0, 1.0) * 50), of(scores=(-0.5, 0.5) * 50), Limits(quality_floor=100.0)),
    ],
)
def test_every_limit_limits(old: Vitals, new: Vitals, wider: Limits) -> None:
    assert breach(old, new, Limits()) is not None
    assert breach(old, new, wider) is None


def test_the_worst_sign_is_told_first() -> None:
    old = of(1000, scores=(0.9, 0.8) * 50)
    new = of(1000, failures=500, seconds=1.0, scores=(0.1, 0.2) * 50)
    assert "failed" in (breach(old, new) or "")
    lenient = replace(Limits(), failure_margin=1.0)
    assert "slowest" in (breach(old, new, lenient) or "")
    assert "quality" in (breach(old, new, replace(lenient, latency_margin=60.0)) or "")


@given(vitals)
def test_nothing_is_worse_than_itself(given: Vitals) -> None:
    assert breach(given, given) is None


# --- chance -----------------------------------------------------------------------------------------------------------


def drawn(
    chance: random.Random, requests: int, *, failing: float = 0.0, slower: float = 1.0, worse: float = 0.0
) -> Vitals:
    """Requests as a busy system has them: log-normal times around 20 ms, scores around 0.7, one to a good answer."""
    vitals = Vitals()
    for _ in range(requests):
        failed = chance.random() < failing
        vitals.observe(503 if failed else 200, slower * chance.lognormvariate(-3.9, 0.6))
        if not failed:
            vitals.add_quality(chance.gauss(0.7 - worse, 0.15))
    return vitals


def test_equal_releases_are_hardly_ever_told_apart() -> None:
    chance = random.Random(7)
    alarms = []
    for failing in (0.0, 0.001, 0.01, 0.05):
        for _ in range(500):
            old = drawn(chance, chance.choice((40, 150, 600)), failing=failing)
            new = drawn(chance, chance.choice((10, 40, 150)), failing=failing)
            alarms.append(breach(old, new))
    found = [one for one in alarms if one is not None]
    assert len(alarms) == 2000
    # Failures that are rare and few make the normal approximation a rough one; nothing else raises an alarm.
    assert all("failed" in one for one in found)
    assert len(found) <= 8, found


@pytest.mark.parametrize(
    ("sign", "change"),
    [("failed", {"failing": 0.1}), ("slowest", {"slower": 4.0}), ("quality", {"worse": 0.15})],
)
def test_clear_regressions_are_found_every_time(sign: str, change: dict[str, float]) -> None:
    chance = random.Random(11)
    for _ in range(100):
        reason = breach(drawn(chance, 600, failing=0.005), drawn(chance, 200, **{"failing": 0.005, **change}))
        assert reason is not None
        assert sign in reason

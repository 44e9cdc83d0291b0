from __future__ import annotations

from dataclasses import dataclass

import msgspec
import pytest

from kapelle.bench.conclusion import conclude
from kapelle.bench.figures import FUSED, SHARED, TCP, UNIX, Block, Comparison, Own
from tests.unit.bench.made_up import COMPARISON, LARGE, SMALL, TERMS, line, own


def about(own: Own | None) -> str:
    return "\n".join(conclude(Comparison(TERMS, [SMALL, LARGE], own)))


def test_says_what_is_quickest_and_by_what_factor() -> None:
    first, second, *_ = conclude(COMPARISON)
    assert first.startswith(
        "At 1 KB, quickest between processes is bare HTTP: a request through 3 services takes 400 µs; 2.0 times"
    )
    assert first.endswith("5.0 times that with files in a shared folder.")
    assert second.startswith(
        "At 1 MB, quickest between processes is shared memory: a request through 3 services takes 1.00 ms;"
    )


def test_ways_that_are_alike_are_named_together() -> None:
    block = Block(1000, 1e-6, [line(TCP, 2), line(UNIX, 1), line(SHARED, 1.05)])
    found = conclude(Comparison(TERMS, [block], None))[0]
    assert found == (
        "At 1 KB, quickest between processes are Unix sockets and shared memory: a request through 3 services takes "
        "1.00 ms; 2.0 times that with TCP."
    )


def test_says_what_goes_on_top_of_bare_http_only_where_that_is_quicker() -> None:
    told = (
        "Bare HTTP does nothing but carry bytes. At 1 KB a call through Kapelle takes 133 µs more than one through that"
    )
    assert told in "\n".join(conclude(COMPARISON))
    assert "Bare HTTP does" not in "\n".join(conclude(Comparison(TERMS, [LARGE], None)))


def test_says_what_goes_through_under_load_and_what_it_costs() -> None:
    assert (
        "With 8 callers at a time, most goes through at 1 MB with shared memory, 2,000 requests a second for 500 µs of CPU "
        "time each, and least with bare HTTP, 250 requests a second for 4.00 ms of CPU time each."
    ) in "\n".join(conclude(COMPARISON))


def test_fusing_is_compared_with_the_way_that_carries_most() -> None:
    told = about(own(line(SHARED, 5, 200), line(TCP, 5.1, 400), line(FUSED, 4, 210)))
    assert (
        "only where requests come one at a time: under load it does 210 requests a second where processes do 400"
        in told
    )


@dataclass
class Sizes:
    shared: list[float]
    """Milliseconds with shared memory at 1 KB, 10 KB, 100 KB; it is 1 ms with Unix sockets."""
    said: str


@pytest.mark.parametrize(
    "case",
    [
        Sizes(
            [0.5, 0.5, 0.5], "At every size shared memory wins: at 100 KB 500 µs instead of 1.00 ms with Unix sockets"
        ),
        Sizes([2, 0.5, 0.5], "From 10 KB on shared memory wins"),
        Sizes([0.5, 2, 0.5], "From 100 KB on shared memory wins"),
        Sizes([0.5, 0.5, 0.95], "There is no size from which on shared memory wins clearly"),
    ],
)
def test_says_from_which_size_on_shared_memory_wins(case: Sizes) -> None:
    blocks = [
        Block(1000 * 10**power, 1e-6, [line(UNIX, 1), line(SHARED, time)]) for power, time in enumerate(case.shared)
    ]
    assert case.said in "\n".join(conclude(Comparison(TERMS, blocks, None)))


def test_says_where_shared_memory_is_slower_than_the_socket_alone() -> None:
    blocks = [Block(size, 1e-6, [line(UNIX, 1), line(SHARED, 2)]) for size in (1000, 100_000)]
    told = "\n".join(conclude(Comparison(TERMS, blocks, None)))
    assert "At 100 KB it is the slower one: 2.00 ms instead of 1.00 ms with Unix sockets alone." in told
    assert "At 1 KB it is the slower one" not in told  # there, both are the socket


@dataclass
class Fusing:
    fused: float
    """Milliseconds; it is 5 ms through the quickest way, and 300 requests a second."""
    rate: float
    said: str


@pytest.mark.parametrize(
    "case",
    [
        Fusing(
            4,
            310,
            "the way between the services is 1.00 ms of the 5.00 ms, 20 %.\n"
            "Fusing pays: it makes a request quicker and carries no less under load, 310",
        ),
        Fusing(4, 200, "Fusing pays only where requests come one at a time: under load it does 200 requests a second"),
        Fusing(4.9, 400, "100 µs of the 5.00 ms, 2 %.\nFusing makes one request hardly quicker, but carries more load"),
        Fusing(
            4.9, 200, "Fusing is not worth it here: under load it does 200 requests a second where processes do 300"
        ),
        Fusing(
            5.5, 200, "Fused it takes no less (5.50 ms): the way is too little of it to be seen.\nFusing is not worth"
        ),
    ],
)
def test_says_whether_fusing_is_worth_it(case: Fusing) -> None:
    assert case.said in about(own(line(SHARED, 5, 300), line(FUSED, case.fused, case.rate)))


def test_says_whether_the_way_matters_to_the_own_request() -> None:
    assert "what carries it makes hardly a difference" in about(own(line(TCP, 5.2), line(SHARED, 5)))
    assert "POST /finalize takes 5.00 ms with shared memory and 8.00 ms with TCP." in about(
        own(line(TCP, 8), line(SHARED, 5))
    )


def test_says_why_the_app_could_not_be_fused_or_asked() -> None:
    assert "It cannot be fused: Words has shards." in about(own(line(SHARED, 5), skipped="Words has shards"))
    assert "give one with --request" in about(None)


def test_says_from_how_many_repeats_a_cache_would_pay_and_that_there_is_none() -> None:
    told = "\n".join(conclude(COMPARISON))
    assert "Kapelle does not keep the results of repeated inputs yet" in told
    assert (
        "At 1 KB, sha256 takes 2 µs and a hit saves the 400 µs with bare HTTP: a cache would pay from 0.5 % repeats."
        in told
    )
    assert "At 1 MB, sha256 takes 600 µs and a hit saves the 1.00 ms with shared memory" in told
    assert "For POST /finalize, sha256 takes 30 µs" in told
    never = msgspec.structs.replace(LARGE, lookup=0.002)
    assert "takes 2.00 ms, more than the 1.00 ms with shared memory: a cache would never pay." in "\n".join(
        conclude(Comparison(TERMS, [SMALL, never], None))
    )


def test_every_sentence_is_one() -> None:
    assert all(sentence[0].isupper() and sentence.endswith(".") for sentence in conclude(COMPARISON))

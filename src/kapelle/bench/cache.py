"""What a cache of repeated inputs would cost and save: Kapelle has none, and this says whether one would pay."""

from __future__ import annotations

import hashlib
import statistics
from time import perf_counter

from kapelle.wire.body import Buffer

_DIGESTS = ("blake2b", "sha256")
_TIMES = 7


def quickest_digest(data: Buffer) -> str:
    """The hash function that is through with these bytes first; which it is depends on the processor."""
    return min(_DIGESTS, key=lambda name: lookup_time(name, data))


def lookup_time(digest: str, data: Buffer) -> float:
    """Seconds to hash an input and look it up in memory."""
    results = {hashlib.new(digest, data).digest(): b"a result"}
    times = []
    for _ in range(_TIMES):
        began = perf_counter()
        results.get(hashlib.new(digest, data).digest())
        times.append(perf_counter() - began)
    return statistics.median(times)


def pays_from(lookup: float, request: float) -> float | None:
    """The share of repeats from which a cache pays; None when it never does.

    Every request pays for the look-up, and a repeated one saves all the rest.
    """
    return lookup / request if lookup < request else None

"""Figures that nobody measured, for tests of what is made of figures."""

from __future__ import annotations

from kapelle.bench.figures import (
    FILES,
    FUSED,
    HTTP,
    SHARED,
    TCP,
    UNIX,
    Block,
    Comparison,
    Figures,
    Line,
    Own,
    Terms,
)

TERMS = Terms(app="Pipeline", stages=3, concurrency=8, seconds=1.0, cores=2, digest="sha256", volume="folder")


def line(way: str, milliseconds: float, rate: float | None = None) -> Line:
    time = milliseconds / 1e3
    alone = Figures(requests=100, p50=time, p99=3 * time, throughput=1 / time, cpu=time)
    loaded = Figures(requests=100, p50=4 * time, p99=9 * time, throughput=rate or 2 / time, cpu=time / 2)
    return Line(way, alone, loaded)


SMALL = Block(
    1000, 2e-6,
    [line(HTTP, 0.4), line(FILES, 2), line(TCP, 0.9), line(UNIX, 0.8), line(SHARED, 0.8), line(FUSED, 0.01)],
)  # fmt: skip
LARGE = Block(
    1_000_000, 6e-4,
    [line(HTTP, 8), line(FILES, 4), line(TCP, 5), line(UNIX, 3), line(SHARED, 1), line(FUSED, 0.02)],
)  # fmt: skip


def own(*lines: Line, skipped: str = "") -> Own:
    return Own(size=55_000, lookup=3e-5, lines=list(lines), request="POST /finalize", skipped=skipped)


OWN = own(line(TCP, 5.2), line(UNIX, 5.1), line(SHARED, 5, 300), line(FUSED, 4, 200))
COMPARISON = Comparison(TERMS, [SMALL, LARGE], OWN)

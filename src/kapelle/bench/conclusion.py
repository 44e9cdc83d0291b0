"""What the figures say, in words. Every sentence follows from numbers that were measured."""

from __future__ import annotations

from collections.abc import Iterator

from kapelle.bench.cache import pays_from
from kapelle.bench.figures import FILES, FUSED, HTTP, HTTPX, SHARED, TCP, UNIX, Block, Comparison, Line
from kapelle.bench.units import percent, rate_text, size_text, time_text
from kapelle.transport.connection import BULK

_ALIKE = 1.1
"""A factor below which two figures count as the same: machines are never quiet."""
_LITTLE = 0.1
_OURS = (TCP, UNIX, SHARED)
_WORDS = {
    HTTPX: "httpx and uvicorn",
    FILES: "files in a shared folder",
    UNIX: "Unix sockets",
    FUSED: "fused in one process",
}


def conclude(found: Comparison) -> list[str]:
    """A sentence or two about each question."""
    return [*_quickest(found), *_bare_http(found), *_shared_memory(found), *_load(found), *_own(found), *_cache(found)]


def _quickest(found: Comparison) -> Iterator[str]:
    for block in _ends(found.blocks):
        best, *others = block.between
        near = [one for one in others if one.alone.p50 < _ALIKE * best.alone.p50]
        names = _listed([best, *near])
        yield (
            f"At {size_text(block.size)}, quickest between processes {'are' if near else 'is'} {names}: a request through "
            f"{found.terms.services} takes {time_text(best.alone.p50)}"
            f"{_beside(best, [one for one in others if one not in near])}."
        )


def _beside(best: Line, others: list[Line]) -> str:
    factors = [f"{_factor(one.alone.p50 / best.alone.p50)} times that with {_name(one)}" for one in others]
    return f"; {', '.join(factors)}" if factors else ""


def _shared_memory(found: Comparison) -> Iterator[str]:
    yield from _where_it_wins(found)
    for block in found.blocks:
        shared, unix = block.line(SHARED), block.line(UNIX)
        if shared is None or unix is None or block.size < BULK:
            continue  # what is so small goes through the socket either way
        if shared.alone.p50 > _ALIKE * unix.alone.p50:
            yield (
                f"At {size_text(block.size)} it is the slower one: {time_text(shared.alone.p50)} instead of "
                f"{time_text(unix.alone.p50)} with Unix sockets alone."
            )


def _where_it_wins(found: Comparison) -> Iterator[str]:
    first: Block | None = None
    for block in reversed(found.blocks):
        best, *others = block.between
        if best.way != SHARED or any(one.alone.p50 < _ALIKE * best.alone.p50 for one in others):
            break
        first = block
    if first is None:
        yield "There is no size from which on shared memory wins clearly."
        return
    block = found.blocks[-1]
    best, second, *_ = block.between
    since = "At every size" if first is found.blocks[0] else f"From {size_text(first.size)} on"
    yield (
        f"{since} shared memory wins: at {size_text(block.size)} {time_text(best.alone.p50)} instead of "
        f"{time_text(second.alone.p50)} with {_name(second)}, the next."
    )


def _bare_http(found: Comparison) -> Iterator[str]:
    """Where bare HTTP beats Kapelle's own ways, what they do besides has to be said."""
    block = found.blocks[0]
    bare = block.line(HTTP)
    ours = min((line for line in block.lines if line.way in _OURS), key=lambda line: line.alone.p50)
    if bare is None or ours.alone.p50 < _ALIKE * bare.alone.p50:
        return
    more = (ours.alone.p50 - bare.alone.p50) / found.terms.stages
    yield (
        f"Bare HTTP does nothing but carry bytes. At {size_text(block.size)} a call through Kapelle takes {time_text(more)} "
        "more than one through that, for which it checks what arrives, balances, retries, and keeps deadlines."
    )


def _load(found: Comparison) -> Iterator[str]:
    for block in _ends(found.blocks):
        most = max(block.between, key=lambda one: one.loaded.throughput)
        least = min(block.between, key=lambda one: one.loaded.throughput)
        yield (
            f"With {found.terms.concurrency} callers at a time, most goes through at {size_text(block.size)} with "
            f"{_name(most)}, {_carried(most)}, and least with {_name(least)}, {_carried(least)}."
        )


def _carried(line: Line) -> str:
    cost = "" if line.loaded.cpu is None else f" for {time_text(line.loaded.cpu)} of CPU time each"
    return f"{rate_text(line.loaded.throughput)} requests a second{cost}"


def _own(found: Comparison) -> Iterator[str]:
    own = found.own
    if own is None:
        yield "The app has no request that could be made up, so only the bare ways were measured; give one with --request."
        return
    best, *others = own.between
    worst = others[-1] if others else best
    differ = worst.alone.p50 / best.alone.p50
    if differ < _ALIKE:
        yield f"{own.request} takes {time_text(best.alone.p50)}, and what carries it makes hardly a difference."
    else:
        yield (
            f"{own.request} takes {time_text(best.alone.p50)} with {_name(best)} and {time_text(worst.alone.p50)} with "
            f"{_name(worst)}."
        )
    fused = own.line(FUSED)
    if fused is None:
        yield f"It cannot be fused: {own.skipped}."
    else:
        yield from _fusing(own.between, fused)


def _fusing(lines: list[Line], fused: Line) -> Iterator[str]:
    best, most = lines[0], max(lines, key=lambda line: line.loaded.throughput)
    way = best.alone.p50 - fused.alone.p50
    share = way / best.alone.p50
    if share <= 0:
        yield f"Fused it takes no less ({time_text(fused.alone.p50)}): the way is too little of it to be seen."
    else:
        yield (
            f"Fused it takes {time_text(fused.alone.p50)}: the way between the services is {time_text(way)} of the "
            f"{time_text(best.alone.p50)}, {percent(share)}."
        )
    ratio = fused.loaded.throughput / most.loaded.throughput
    rates = (
        f"{rate_text(fused.loaded.throughput)} requests a second where processes do {rate_text(most.loaded.throughput)}"
    )
    if share >= _LITTLE and ratio >= 1 / _ALIKE:
        yield f"Fusing pays: it makes a request quicker and carries no less under load, {rates}."
    elif share >= _LITTLE:
        yield f"Fusing pays only where requests come one at a time: under load it does {rates}."
    elif ratio > _ALIKE:
        yield f"Fusing makes one request hardly quicker, but carries more load: {rates}."
    else:
        yield f"Fusing is not worth it here: under load it does {rates}."


def _cache(found: Comparison) -> Iterator[str]:
    digest = found.terms.digest
    yield "Kapelle does not keep the results of repeated inputs yet; if it did, it would find an input by its hash."
    for block in _ends(found.blocks):
        yield f"At {size_text(block.size)}, {_paying(block.lookup, block.between[0], digest)}."
    if found.own is not None:
        yield f"For {found.own.request}, {_paying(found.own.lookup, found.own.between[0], digest)}."


def _paying(lookup: float, line: Line, digest: str) -> str:
    share = pays_from(lookup, line.alone.p50)
    cost = f"{digest} takes {time_text(lookup)}"
    saved = f"the {time_text(line.alone.p50)} with {_name(line)}"
    if share is None:
        return f"{cost}, more than {saved}: a cache would never pay"
    return f"{cost} and a hit saves {saved}: a cache would pay from {percent(share)} repeats"


def _ends(blocks: list[Block]) -> list[Block]:
    """The smallest and the largest size."""
    return blocks if len(blocks) == 1 else [blocks[0], blocks[-1]]


def _factor(number: float) -> str:
    return f"{number:.0f}" if number >= 9.95 else f"{number:.1f}"


def _name(line: Line) -> str:
    return _WORDS.get(line.way, line.way)


def _listed(lines: list[Line]) -> str:
    *before, last = map(_name, lines)
    return f"{', '.join(before)} and {last}" if before else last

"""Where the time of a question goes: CPU by process under load, and the parts that can be timed alone.

    python benchmarks/search_where.py        # after search_data.py; writes results/question-search-where.md

Each process's CPU time comes from the kernel, over a closed loop at one and at 64 connections. The parts are timed in
this process on the same questions and files: tokenising and the model one question at a time and 32 at once, the product
with the centroids, one search in one cluster. What is left of a process is the framework, the interpreter and the
system calls, and what the parts cost more where others take the caches from them.
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from cpu import process_cpu_seconds, process_tree
from load import closed_loop
from machine import describe_machine
from servers import Server, running
from targets.base import BENCHMARKS
from targets.search import SEARCH, KapelleSearch

sys.path.insert(0, str(BENCHMARKS.parent))

from apps.question_search.encoder import Encoder
from apps.question_search.shard import Shard

PROBES = 3
BATCH = 32
SECONDS = 8.0
LOADS = (1, 64)


def role(pid: int) -> str:
    """What a process of the system is: gateway, Encoder, Cluster, or the controller and its like."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    for module, name in pairwise(words):
        if module in ("kapelle.worker.main", "kapelle.gateway.main"):
            return name.partition("-")[0]
    return "controller"


def cpu_by_role(server: Server) -> dict[str, float]:
    """CPU seconds so far."""
    found: dict[str, float] = defaultdict(float)
    for pid in process_tree(server.nest):
        try:
            found[role(pid)] += process_cpu_seconds(pid)
        except (OSError, ProcessLookupError):
            continue  # it has ended meanwhile
    return found


def under_load(server: Server, concurrency: int) -> tuple[dict[str, float], float]:
    """Microseconds of CPU a request by role, and the median latency in milliseconds."""
    before = cpu_by_role(server)
    outcome = closed_loop(server.dialogue, server.port, concurrency=concurrency, seconds=SECONDS)
    after = cpu_by_role(server)
    shares = {name: (after[name] - before.get(name, 0.0)) / outcome.right * 1e6 for name in after}
    return shares, outcome.quantiles(0.5)[0]


def timed(work: Callable[[], object], count: int) -> float:
    """Microseconds of CPU for each of the ``count`` things that one call does; the best of several rounds."""
    work()
    best = float("inf")
    for _ in range(7):
        began = time.thread_time()
        work()
        best = min(best, time.thread_time() - began)
    return best / count * 1e6


def parts(queries: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Microseconds a request of each part that can be timed alone: one request at a time, and 32 at once."""
    encoder = Encoder(SEARCH / "artifacts" / "encoder")
    centroids = np.load(SEARCH / "artifacts" / "index" / "centroids.npy")
    shards = [Shard(one) for one in sorted((SEARCH / "artifacts" / "index" / "shards").iterdir())]
    queries = queries[: 4 * BATCH]
    vectors = encoder.embed(queries)
    count = len(queries)

    def tokenise() -> None:
        for query in queries:
            encoder._tokenizer.encode(query)

    def choose() -> None:
        for vector in vectors:
            np.argsort(centroids @ vector)[::-1][:PROBES].tolist()

    def search() -> None:
        for place, vector in enumerate(vectors):
            for probe in range(PROBES):
                shards[(place + probe) % len(shards)].nearest(vector)

    tokens = timed(tokenise, count)
    alone = timed(lambda: [encoder.embed([query]) for query in queries], count) - tokens
    together = timed(lambda: [encoder.embed(queries[at : at + BATCH]) for at in range(0, count, BATCH)], count) - tokens
    return {
        "Encoder: tokenising": (tokens, tokens),
        "Encoder: the model": (alone, together),
        "gateway: the nearest centroids": (timed(choose, count),) * 2,
        f"Cluster: FAISS, {PROBES} searches": (timed(search, count),) * 2,
    }


def table(loads: Sequence[tuple[dict[str, float], float]], alone: dict[str, tuple[float, float]]) -> str:
    """A row for each part, what is left of each process below its parts."""
    rows = ["| µs of CPU a request | one at a time | 64 at once |", "| --- | ---: | ---: |"]
    for name in ("Encoder", "Cluster", "gateway", "controller"):
        rest = [shares.get(name, 0.0) for shares, _ in loads]
        for part, times in alone.items():
            if part.startswith(name):
                rows.append("| " + part + " | " + " | ".join(f"{one:,.0f}" for one in times) + " |")
                rest = [left - one for left, one in zip(rest, times, strict=True)]
        rows.append(f"| {name}: all else | " + " | ".join(f"{max(0.0, one):,.0f}" for one in rest) + " |")
    rows.append("| **together** | " + " | ".join(f"**{sum(shares.values()):,.0f}**" for shares, _ in loads) + " |")
    rows.append("| p50, ms | " + " | ".join(f"{latency:.1f}" for _, latency in loads) + " |")
    return "\n".join(rows)


def main() -> None:
    target = KapelleSearch()
    target.python()
    with running(target, "question-search") as server:
        closed_loop(server.dialogue, server.port, concurrency=max(LOADS), seconds=2.0)
        loads = [under_load(server, concurrency) for concurrency in LOADS]
        queries = json.loads((SEARCH / "about.json").read_text())["queries"]
    found = table(loads, parts(queries))
    note = (__doc__ or "").partition("\n\n")[2].partition("\n\n")[2].strip()
    page = f"# Question search: where the time goes\n\n{found}\n\nMeasured on {describe_machine()}.\n\n{note}\n"
    (BENCHMARKS / "results" / "question-search-where.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()

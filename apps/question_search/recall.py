"""How much of an exact search is found when only the nearest clusters are asked."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from apps.question_search.kmeans import Clustering, Vectors

PROBES = (1, 2, 4)
DEPTHS = (1, 10)
QUERIES = 1_000
CHUNK = 256  # queries multiplied with the corpus at once

Recall = Mapping[tuple[int, int], float]  # by (depth, probes)


def measure(vectors: Vectors, clustering: Clustering, seed: int) -> Recall:
    """The share of a question's true nearest neighbours, itself left out, that probing finds.

    Queries are up to ``QUERIES`` questions of the corpus. A cluster is searched exactly, so a true neighbour is found
    if and only if its cluster is probed. Empty for a corpus of one question.
    """
    count = len(vectors)
    if count < 2:
        return {}
    queries = np.random.default_rng(seed).permutation(count)[:QUERIES]
    neighbours = np.concatenate([_neighbours(vectors, chunk) for chunk in _chunks(queries)])
    order = (-vectors[queries] @ clustering.centroids.T).argsort(axis=1, kind="stable")
    rank = order.argsort(axis=1)  # rank[q, c]: how many clusters query q probes before c
    found_at = np.take_along_axis(rank, clustering.labels[neighbours], axis=1)
    clusters = len(clustering.centroids)
    return {
        (depth, probes): float((found_at[:, :depth] < probes).mean())
        for depth in DEPTHS
        for probes in PROBES
        if probes <= clusters
    }


def _neighbours(vectors: Vectors, queries: NDArray[np.intp]) -> NDArray[np.intp]:
    """The rows nearest to each query by exact search, best first."""
    similarities = vectors[queries] @ vectors.T
    similarities[np.arange(len(queries)), queries] = -np.inf
    depth = min(max(DEPTHS), len(vectors) - 1)
    best = np.argpartition(-similarities, depth - 1, axis=1)[:, :depth]
    order = np.take_along_axis(-similarities, best, axis=1).argsort(axis=1, kind="stable")
    return np.take_along_axis(best, order, axis=1)


def _chunks(rows: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    return [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]

from __future__ import annotations

import numpy as np
import pytest

from apps.question_search import recall
from apps.question_search.kmeans import Clustering, Vectors, cluster


def by_searching(vectors: Vectors, clustering: Clustering, depth: int, probes: int) -> float:
    """The same, by really searching the probed clusters for each question."""
    shares = []
    for row, query in enumerate(vectors):
        similarities = vectors @ query
        similarities[row] = -np.inf
        exact = np.argsort(-similarities)[:depth]
        probed = np.argsort(-clustering.centroids @ query)[:probes]
        found = np.argsort(-np.where(np.isin(clustering.labels, probed), similarities, -np.inf))[:depth]
        shares.append(len(set(exact) & set(found)) / depth)
    return float(np.mean(shares))


def test_it_is_what_searching_finds(directions: Vectors) -> None:
    clustering = cluster(directions, 12, seed=0)
    measured = recall.measure(directions, clustering, seed=0)
    assert set(measured) == {(depth, probes) for depth in (1, 10) for probes in (1, 2, 4)}
    for (depth, probes), share in measured.items():
        assert share == pytest.approx(by_searching(directions, clustering, depth, probes), abs=1e-9)
    assert measured[10, 1] < measured[10, 2] < measured[10, 4]


def test_asking_all_clusters_finds_all(directions: Vectors) -> None:
    measured = recall.measure(directions, cluster(directions, 2, seed=0), seed=0)
    assert set(measured) == {(1, 1), (10, 1), (1, 2), (10, 2)}
    assert measured[1, 2] == measured[10, 2] == 1


def test_a_large_corpus_is_sampled(directions: Vectors, monkeypatch: pytest.MonkeyPatch) -> None:
    clustering = cluster(directions, 12, seed=0)
    monkeypatch.setattr(recall, "QUERIES", 40)
    first, second = (recall.measure(directions, clustering, seed)[10, 1] for seed in (0, 1))
    assert first != second
    assert (first * 400).is_integer()


def test_small_corpora(directions: Vectors) -> None:
    assert recall.measure(directions[:1], cluster(directions[:1], 1, seed=0), seed=0) == {}
    assert recall.measure(directions[:2], cluster(directions[:2], 1, seed=0), seed=0) == {(1, 1): 1, (10, 1): 1}
    assert recall.measure(directions[::200], cluster(directions[::200], 2, seed=0), seed=0)[1, 1] == 0

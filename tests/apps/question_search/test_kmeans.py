from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.question_search import kmeans
from apps.question_search.kmeans import Vectors, cluster


@st.composite
def problems(draw: st.DrawFn) -> tuple[Vectors, int]:
    """Unit vectors, many of them equal or opposite, and a number of clusters that is possible for them."""
    dimension = draw(st.integers(1, 4))
    corners = st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=dimension, max_size=dimension).filter(any)
    rows = np.array(draw(st.lists(corners, min_size=1, max_size=30)), np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), draw(st.integers(1, len(rows)))


@given(problem=problems(), seed=st.integers(0, 5))
def test_every_cluster_has_a_unit_centroid_and_a_member(problem: tuple[Vectors, int], seed: int) -> None:
    vectors, k = problem
    clustering = cluster(vectors, k, seed)
    assert clustering.centroids.shape == (k, vectors.shape[1])
    assert clustering.centroids.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(clustering.centroids, axis=1), 1, atol=1e-5)
    assert clustering.labels.shape == (len(vectors),)
    assert clustering.sizes.min() >= 1
    assert clustering.sizes.sum() == len(vectors)
    members = np.concatenate([clustering.members(i) for i in range(k)])
    assert sorted(members.tolist()) == list(range(len(vectors)))


@given(problem=problems(), seed=st.integers(0, 5))
def test_the_same_seed_gives_the_same_clusters(problem: tuple[Vectors, int], seed: int) -> None:
    first, second = cluster(*problem, seed), cluster(*problem, seed)
    assert first.centroids.tobytes() == second.centroids.tobytes()
    assert first.labels.tobytes() == second.labels.tobytes()


@given(st.integers(0, 1000))
@settings(max_examples=30)
def test_it_ends_where_vectors_and_centroids_agree(seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(200, 5))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    clustering = cluster(vectors, 7, seed, max_rounds=1000)
    assert ((vectors @ clustering.centroids.T).argmax(axis=1) == clustering.labels).all()
    for i, centroid in enumerate(clustering.centroids):
        mean = vectors[clustering.members(i)].mean(axis=0)
        np.testing.assert_allclose(mean / np.linalg.norm(mean), centroid, atol=1e-5)


def test_separate_directions_are_found(directions: Vectors) -> None:
    clustering = cluster(directions, 6, seed=0)
    assert clustering.sizes.tolist() == [50] * 6
    assert all(len(set(clustering.labels[start : start + 50])) == 1 for start in range(0, 300, 50))


def test_chunks_do_not_change_the_result(directions: Vectors, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = cluster(directions, 10, seed=3)
    monkeypatch.setattr(kmeans, "CHUNK", 7)
    assert (cluster(directions, 10, seed=3).labels == whole.labels).all()


def test_as_many_clusters_as_vectors(directions: Vectors) -> None:
    assert sorted(cluster(directions[:20], 20, seed=0).labels.tolist()) == list(range(20))


def test_vectors_that_cancel_out_still_have_a_direction() -> None:
    clustering = cluster(np.array([[1, 0], [-1, 0]], np.float32), 1, seed=0)
    assert clustering.centroids.tolist() == [[1, 0]]

"""Spherical k-means: unit vectors into clusters of like direction. The same vectors and seed give the same clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Labels = NDArray[np.intp]

CHUNK = 16_384  # rows multiplied at once: bounds the memory of their similarities


@dataclass(frozen=True)
class Clustering:
    """``centroids`` are unit rows (k x d); ``labels`` gives each vector the number of its own. No cluster is empty."""

    centroids: Vectors
    labels: Labels

    def members(self, cluster: int) -> Labels:
        """The rows of a cluster's vectors, ascending."""
        return np.flatnonzero(self.labels == cluster)

    @property
    def sizes(self) -> Labels:
        """How many vectors each cluster has."""
        return np.bincount(self.labels, minlength=len(self.centroids))


def cluster(vectors: Vectors, k: int, seed: int, max_rounds: int = 50) -> Clustering:
    """Cut unit vectors (n x d) into ``k`` clusters, 1 <= k <= n, each with at least one member."""
    centroids = _seed(vectors, k, np.random.default_rng(seed))
    labels = np.full(len(vectors), -1)
    for _ in range(max_rounds):
        previous, labels = labels, _assign(vectors, centroids)
        if np.array_equal(labels, previous):
            break
        centroids = _means(vectors, labels, k)
    return Clustering(centroids, labels)


def _seed(vectors: Vectors, k: int, rng: np.random.Generator) -> Vectors:
    """k-means++: each next centroid is drawn by the squared distance to those before, which is 2 (1 - cos)."""
    chosen = [int(rng.integers(len(vectors)))]
    distances = np.full(len(vectors), np.inf)
    for _ in range(1, k):
        distances = np.minimum(distances, np.maximum(1 - vectors @ vectors[chosen[-1]], 0))
        distances[chosen] = 0
        bounds = np.cumsum(distances, dtype=np.float64)
        if bounds[-1] > 0:
            chosen.append(int(np.searchsorted(bounds[:-1], rng.random() * bounds[-1], side="right")))
        else:  # all vectors left repeat a chosen one
            chosen.append(int(np.setdiff1d(np.arange(len(vectors)), chosen)[0]))
    return vectors[chosen]


def _assign(vectors: Vectors, centroids: Vectors) -> Labels:
    """The nearest centroid of each vector; one that is nearest to none takes the vector that fits its own worst."""
    labels = np.empty(len(vectors), np.intp)
    fit = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), CHUNK):
        rows = slice(start, start + CHUNK)
        similarities = vectors[rows] @ centroids.T
        labels[rows] = similarities.argmax(axis=1)
        fit[rows] = similarities.max(axis=1)
    sizes = np.bincount(labels, minlength=len(centroids))
    for empty in np.flatnonzero(sizes == 0):
        worst = np.where(sizes[labels] > 1, fit, np.inf).argmin()
        sizes[labels[worst]] -= 1
        sizes[empty] += 1
        labels[worst], fit[worst] = empty, np.inf
    return labels


def _means(vectors: Vectors, labels: Labels, k: int) -> Vectors:
    """Each cluster's mean direction, or its first member when its vectors cancel out."""
    centroids = np.empty((k, vectors.shape[1]), np.float32)
    for i in range(k):
        members = vectors[labels == i]
        total = members.sum(axis=0, dtype=np.float64)
        length = np.linalg.norm(total)
        centroids[i] = total / length if length > 1e-6 else members[0]
    return centroids

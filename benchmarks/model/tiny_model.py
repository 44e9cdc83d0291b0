"""The model of every tiny scenario: a 4x3 product and an argmax over its columns.

Every server imports this file, so that the servers differ in nothing but themselves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# A linear classifier of iris flowers; every request of the benchmark has a right answer that depends on its row.
WEIGHTS = np.array(
    [
        [0.4, 0.5, -1.6],
        [1.3, -0.3, -1.5],
        [-2.0, 0.4, 2.6],
        [-0.9, -1.0, 2.3],
    ],
    dtype=np.float32,
)


def classify_array(rows: NDArray[np.float32]) -> NDArray[np.intp]:
    """The class of each row: (n, 4) float32 to (n,) integers."""
    classes: NDArray[np.intp] = np.argmax(rows @ WEIGHTS, axis=1)
    return classes


def classify(instances: list[list[float]]) -> list[int]:
    """The class of each instance of one request."""
    classes: list[int] = classify_array(np.asarray(instances, dtype=np.float32)).tolist()
    return classes


def classify_batch(requests: list[list[list[float]]]) -> list[list[int]]:
    """The classes of several requests' instances, by one product over all their rows."""
    classes = classify([row for instances in requests for row in instances])
    answers: list[list[int]] = []
    start = 0
    for instances in requests:
        answers.append(classes[start : start + len(instances)])
        start += len(instances)
    return answers

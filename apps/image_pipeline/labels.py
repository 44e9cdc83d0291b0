"""What the classifier tells apart, and the file that says so beside a model."""

from __future__ import annotations

import json
from pathlib import Path

from apps.image_pipeline.errors import ModelError

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""CIFAR-10's, in the order of the outputs of the model that is shipped."""
FILE = "labels.json"


def read_labels(artifact: Path) -> list[str]:
    """The labels in the order of the model's outputs.

    Raises:
        ModelError: the file is missing or holds something else.
    """
    path = artifact / FILE
    try:
        labels = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: {error}; build it with: python -m apps.image_pipeline.build") from error
    if not isinstance(labels, list) or not labels or not all(isinstance(label, str) for label in labels):
        raise ModelError(f"{path}: expected a list of names")
    return labels

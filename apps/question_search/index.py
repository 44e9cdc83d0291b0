"""The index's folder: ``centroids.npy``, a folder per cluster under ``shards``, and ``about.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from apps.question_search import shard
from apps.question_search.errors import ArtifactError
from apps.question_search.kmeans import Clustering, Vectors

FORMAT = 1
CENTROIDS = "centroids.npy"
SHARDS = "shards"
ABOUT = "about.json"


def write(
    folder: Path, questions: Sequence[str], vectors: Vectors, clustering: Clustering, about: Mapping[str, Any]
) -> None:
    """Write the index of ``questions`` and their unit vectors (n x d). ``about`` adds facts to ``about.json``."""
    folder.mkdir(parents=True)
    np.save(folder / CENTROIDS, clustering.centroids)
    for i in range(len(clustering.centroids)):
        rows = clustering.members(i)  # ascending: a shard keeps the order of the corpus
        shard.write(folder / SHARDS / f"{i:03d}", [questions[int(row)] for row in rows], vectors[rows])
    facts = {
        "format": FORMAT,
        "questions": len(questions),
        "clusters": len(clustering.centroids),
        "dimension": vectors.shape[1],
        "sizes": clustering.sizes.tolist(),
        **about,
    }
    (folder / ABOUT).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def read_about(folder: Path) -> dict[str, Any]:
    """The facts of ``about.json``.

    Raises:
        ArtifactError: it is missing, damaged, or of another format.
    """
    path = folder / ABOUT
    try:
        about = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: not the description of an index ({error})") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise ArtifactError(f"{path}: not an index of format {FORMAT}; build it again")
    return about

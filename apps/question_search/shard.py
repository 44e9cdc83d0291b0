"""One cluster of the index: its vectors in ``vectors.faiss``, and row by row their ``questions.json``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import ArrayLike

from apps.question_search.errors import ArtifactError, VectorError
from apps.question_search.kmeans import Vectors

VECTORS = "vectors.faiss"
QUESTIONS = "questions.json"


def write(folder: Path, questions: Sequence[str], vectors: Vectors) -> None:
    """Write a shard; ``vectors`` (n x d) are the questions' unit vectors, so that inner products are cosines.

    Raises:
        ArtifactError: the vectors cannot be written; the disk is full, say.
    """
    folder.mkdir(parents=True)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    path = folder / VECTORS
    try:
        faiss.write_index(index, str(path))
    except RuntimeError as error:  # all that FAISS raises
        raise ArtifactError(f"{path}: cannot be written ({error}); is the disk full?") from error
    text = json.dumps(questions, ensure_ascii=False, indent=0)
    (folder / QUESTIONS).write_text(text, encoding="utf-8")


class Shard:
    """Exact search in one cluster. Threads may share it."""

    def __init__(self, folder: Path) -> None:
        """Load what ``write`` wrote.

        Raises:
            ArtifactError: a file is missing or damaged, the two do not agree, or a vector is not finite.
        """
        # Of the whole process: a search is short, and the machine's other replicas need their cores.
        faiss.omp_set_num_threads(1)
        self._questions = _load_questions(folder / QUESTIONS)
        self._index = _load_index(folder / VECTORS)
        self.dimension: int = self._index.d
        if self._index.ntotal != len(self._questions):
            raise ArtifactError(
                f"{folder}: {VECTORS} has {self._index.ntotal} rows, {QUESTIONS} {len(self._questions)}; build it again"
            )

    def __len__(self) -> int:
        """The number of questions."""
        return len(self._questions)

    def nearest(self, vector: ArrayLike, count: int = 1) -> list[tuple[str, float]]:
        """Up to ``count`` questions with their cosines to a unit vector, best first.

        Raises:
            VectorError: the vector has another dimension than the index, or a value that is not finite.
            ValueError: ``count`` is below 1.
        """
        query = np.asarray(vector, np.float32)
        if query.shape != (self.dimension,):
            raise VectorError(f"the vector has the shape {query.shape}, expected ({self.dimension},)")
        if not np.isfinite(query).all():
            raise VectorError("the vector has values that are not finite, expected a unit vector")
        if count < 1:
            raise ValueError(f"count is {count}, expected at least 1")
        scores, rows = self._index.search(query[None], min(count, len(self)))
        return [(self._questions[row], score) for row, score in zip(rows[0].tolist(), scores[0].tolist(), strict=True)]


def _load_questions(path: Path) -> list[str]:
    try:
        questions = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: not a list of questions ({error}); build it again") from error
    if not (isinstance(questions, list) and questions and all(isinstance(question, str) for question in questions)):
        raise ArtifactError(f"{path}: expected a list of at least one string; build it again")
    return questions


def _load_index(path: Path) -> faiss.Index:
    try:
        index = faiss.read_index(str(path))
    except RuntimeError as error:  # all that FAISS raises, for missing files too
        raise ArtifactError(f"{path}: not a FAISS index ({error}); build it again") from error
    if index.ntotal and not np.isfinite(index.reconstruct_n(0, index.ntotal)).all():
        raise ArtifactError(f"{path}: has vectors that are not finite; build it again")
    return index

from __future__ import annotations

import json
from pathlib import Path

import faiss
import numpy as np
import pytest

from apps.question_search import shard
from apps.question_search.errors import ArtifactError, VectorError
from apps.question_search.kmeans import Vectors
from apps.question_search.shard import Shard

QUESTIONS = [f"Question {n}?" for n in range(300)]


@pytest.fixture
def folder(directions: Vectors, tmp_path: Path) -> Path:
    shard.write(tmp_path / "000", QUESTIONS, directions)
    return tmp_path / "000"


def test_a_full_disk_is_told(directions: Vectors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard, "VECTORS", "/dev/full")
    with pytest.raises(
        ArtifactError, match=r"/dev/full: cannot be written .*No space left on device.*; is the disk full"
    ):
        shard.write(tmp_path / "000", QUESTIONS, directions)


def test_the_nearest_are_found_best_first(folder: Path, directions: Vectors) -> None:
    query = directions[17]
    cosines = directions @ query
    order = np.argsort(-cosines)[:10]
    found = Shard(folder).nearest(query, 10)
    assert [question for question, _ in found] == [QUESTIONS[row] for row in order]
    assert [score for _, score in found] == pytest.approx(cosines[order].tolist(), abs=1e-6)


def test_vectors_of_any_float_type_are_taken(folder: Path, directions: Vectors) -> None:
    loaded = Shard(folder)
    assert loaded.nearest(directions[3].astype(np.float64)) == loaded.nearest(directions[3])
    assert loaded.nearest(directions[3].tolist()) == loaded.nearest(directions[3])
    assert loaded.nearest(np.repeat(directions[3], 2)[::2]) == loaded.nearest(directions[3])


def test_no_more_than_there_are(folder: Path, directions: Vectors) -> None:
    loaded = Shard(folder)
    assert len(loaded) == 300
    assert len(loaded.nearest(directions[0], 1000)) == 300
    assert len(loaded.nearest(directions[0])) == 1


def test_a_search_uses_one_thread(folder: Path) -> None:
    faiss.omp_set_num_threads(2)
    Shard(folder)
    assert faiss.omp_get_max_threads() == 1


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        (np.zeros(7), r"shape \(7,\), expected \(8,\)"),
        (np.zeros((1, 8)), r"shape \(1, 8\), expected \(8,\)"),
        (np.float32(1), r"shape \(\), expected \(8,\)"),
        ([1, 0, 0, 0, 0, 0, 0, np.nan], "not finite"),
        ([1, 0, 0, 0, 0, 0, 0, np.inf], "not finite"),
    ],
)
def test_bad_vectors(vector: list[float], message: str, folder: Path) -> None:
    with pytest.raises(VectorError, match=message):
        Shard(folder).nearest(vector)


def test_bad_counts(folder: Path, directions: Vectors) -> None:
    with pytest.raises(ValueError, match="count is 0, expected at least 1"):
        Shard(folder).nearest(directions[0], 0)


@pytest.mark.parametrize("name", ["vectors.faiss", "questions.json"])
def test_missing_and_damaged_files_are_named(name: str, folder: Path) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ArtifactError, match=rf"{name}: not a"):
        Shard(folder)
    path.unlink()
    with pytest.raises(ArtifactError, match=rf"{name}: not a"):
        Shard(folder)


@pytest.mark.parametrize("content", [{"a": "b"}, ["Why?", 3], [], "Why?"])
def test_questions_must_be_strings_in_a_list(content: object, folder: Path) -> None:
    (folder / "questions.json").write_text(json.dumps(content))
    with pytest.raises(ArtifactError, match=r"questions\.json: expected a list"):
        Shard(folder)


def test_both_files_must_agree(folder: Path) -> None:
    (folder / "questions.json").write_text(json.dumps(QUESTIONS[1:]))
    with pytest.raises(ArtifactError, match=r"vectors\.faiss has 300 rows, questions\.json 299"):
        Shard(folder)


def test_vectors_must_be_finite(directions: Vectors, tmp_path: Path) -> None:
    vectors = directions.copy()
    vectors[7, 2] = np.nan
    shard.write(tmp_path / "000", QUESTIONS, vectors)
    with pytest.raises(ArtifactError, match="not finite"):
        Shard(tmp_path / "000")

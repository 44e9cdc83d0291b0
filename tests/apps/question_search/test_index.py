from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from apps.question_search import index
from apps.question_search.errors import ArtifactError
from apps.question_search.kmeans import Vectors, cluster
from apps.question_search.shard import Shard


def test_the_shards_hold_every_question_once_with_its_vector(directions: Vectors, tmp_path: Path) -> None:
    questions = [f"Question {n}?" for n in range(300)]
    clustering = cluster(directions, 5, seed=0)
    folder = tmp_path / "index"
    index.write(folder, questions, directions, clustering, {"seed": 0})
    assert (np.load(folder / "centroids.npy") == clustering.centroids).all()
    assert sorted(path.name for path in (folder / "shards").iterdir()) == ["000", "001", "002", "003", "004"]
    for number, row in enumerate(clustering.labels):
        shard = Shard(folder / "shards" / f"{row:03d}")
        assert len(shard) == clustering.sizes[row]
        found, score = shard.nearest(directions[number])[0]
        assert found == questions[number]
        assert score == pytest.approx(1)
    assert index.read_about(folder) == {
        "format": 1,
        "questions": 300,
        "clusters": 5,
        "dimension": 8,
        "sizes": clustering.sizes.tolist(),
        "seed": 0,
    }


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", json.dumps({"format": 2})])
def test_a_description_of_something_else_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "about.json").write_text(content)
    with pytest.raises(ArtifactError, match=r"about\.json: not "):
        index.read_about(tmp_path)


def test_a_missing_description(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"about\.json.*No such file"):
        index.read_about(tmp_path)

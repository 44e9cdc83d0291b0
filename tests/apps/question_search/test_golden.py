"""What the application asks of a release before it gets traffic, and what it says of its answers."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from apps.question_search import build, index
from apps.question_search.app import QuestionSearch
from apps.question_search.encoder import Encoder as Model
from apps.question_search.kmeans import cluster
from kapelle.artifacts.releases import Releases
from kapelle.artifacts.stores import open_objects
from kapelle.testing import ProcessSystem, running, running_processes

CLUSTERS = 5


def write(folder: Path, encoder: Path, questions: list[str], clusters: int = CLUSTERS, *, shift: int = 0) -> Path:
    """Artifacts whose questions have the vector of the one ``shift`` places before."""
    shutil.copytree(encoder, folder / "encoder")
    vectors = np.roll(Model(encoder).embed(questions), shift, axis=0)
    clustering = cluster(vectors, clusters, seed=1)
    samples = [questions[clustering.members(one)[0]] for one in range(clusters)]
    index.write(folder / "index", questions, vectors, clustering, {"samples": samples})
    return folder


def shuffle_texts(artifacts: Path) -> None:
    for path in artifacts.glob("index/shards/*/questions.json"):
        path.write_text(json.dumps(json.loads(path.read_bytes())[::-1]))


def turn_centroids(artifacts: Path) -> None:
    """Each question's own cluster becomes the last to be searched."""
    path = artifacts / "index" / "centroids.npy"
    np.save(path, -np.load(path))


def forget_the_samples(artifacts: Path) -> None:
    path = artifacts / "index" / "about.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"samples": []}))


def lose_a_centroid(artifacts: Path) -> None:
    path = artifacts / "index" / "centroids.npy"
    np.save(path, np.load(path)[1:])


async def publish(system: ProcessSystem, artifacts: Path, store: str) -> tuple[str, str]:
    built, _ = Releases(open_objects(store)).build("QuestionSearch", artifacts, ["encoder", "index"], lambda _: None)
    over = await system.conductor.publish(built.name, lambda _: None)
    return over.outcome, over.reason


async def test_only_an_index_that_fits_is_published(int8_folder: Path, sentences: list[str], tmp_path: Path) -> None:
    good = write(tmp_path / "good", int8_folder, sentences)
    store = str(tmp_path / "store")
    async with running_processes(
        QuestionSearch,
        target="apps.question_search.app",
        artifacts=good,
        store=store,
        bake=0.1,
        shard_processes=1,
    ) as system:
        breaks: list[tuple[str, Callable[[Path], None], str]] = [
            ("texts", shuffle_texts, "finds_its_own_questions: ValueError: .* finds itself with a cosine of"),
            ("turned", turn_centroids, "finds_them_in_few_clusters: ValueError: 0 of 5 questions"),
            ("lost", lose_a_centroid, "finds_its_own_questions: ValueError"),
        ]
        for name, damage, reason in breaks:
            shutil.copytree(good, tmp_path / name)
            damage(tmp_path / name)
            outcome, said = await publish(system, tmp_path / name, store)
            assert outcome == "refused"
            assert re.search(reason, said), said
        outcome, said = await publish(system, write(tmp_path / "other", int8_folder, sentences, shift=1), store)
        assert (outcome, "finds itself with a cosine of" in said) == ("refused", True), said
        shutil.copytree(good, tmp_path / "older")
        forget_the_samples(tmp_path / "older")
        assert (await publish(system, tmp_path / "older", store))[0] == "committed"
        # Any corpus will do: another number of clusters, one question alone, questions that differ in their case only.
        twins = [text.format(question) for question in sentences[:6] for text in ("{}", "{}?", "WHY: {}", "why: {}")]
        for number, (questions, clusters) in enumerate(
            [(sentences[:40], 20), (["Why?"], 1), (twins, 2), (sentences, 5)]
        ):
            fine = write(tmp_path / f"fine-{number}", int8_folder, questions, clusters)
            outcome, said = await publish(system, fine, store)
            assert outcome == "committed", said


def test_the_builder_keeps_a_question_of_each_cluster(sentences: list[str], tmp_path: Path) -> None:
    (tmp_path / "questions.txt").write_text("\n".join(sentences))
    out = tmp_path / "out"
    assert build.main(["--questions", str(tmp_path / "questions.txt"), "--clusters", "3", "--out", str(out)]) == 0
    shards = [json.loads(path.read_bytes()) for path in sorted(out.glob("index/shards/*/questions.json"))]
    assert index.read_about(out / "index")["samples"] == [shard[0] for shard in shards]


async def test_the_best_score_of_each_question_is_the_quality(
    int8_folder: Path, sentences: list[str], tmp_path: Path
) -> None:
    artifacts = write(tmp_path / "artifacts", int8_folder, sentences)
    async with running(QuestionSearch, artifacts=artifacts) as system:
        body = {"instances": [sentences[0], "zzz"], "count": 3}
        answer = (await system.client.post("/process", json=body)).json()
        await system.client.post("/process", json={"instances": []})
        vitals = system.gateway.edition.vitals
    best = [answer["matches"][0]["score"], answer["matches"][3]["score"]]
    assert vitals.scores == 2
    assert vitals.score_sum == pytest.approx(sum(best))

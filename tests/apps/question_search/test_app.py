"""The served application: real model, real index, through HTTP, in memory and with real processes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apps.question_search import index
from apps.question_search.app import Cluster, Encoder, QuestionSearch
from apps.question_search.encoder import Encoder as Model
from apps.question_search.kmeans import Vectors, cluster
from kapelle.testing import running, running_processes

CLUSTERS = 5


@pytest.fixture(scope="module")
def vectors(int8_encoder: Model, sentences: list[str]) -> Vectors:
    return int8_encoder.embed(sentences)


@pytest.fixture(scope="module")
def artifacts(
    tmp_path_factory: pytest.TempPathFactory, int8_folder: Path, sentences: list[str], vectors: Vectors
) -> Path:
    folder = tmp_path_factory.mktemp("artifacts")
    (folder / "encoder").symlink_to(int8_folder)
    index.write(folder / "index", sentences, vectors, cluster(vectors, CLUSTERS, seed=1), {})
    return folder


def exact(sentences: list[str], vectors: Vectors, query: Vectors, count: int) -> list[str]:
    return [sentences[row] for row in np.argsort(-(vectors @ query))[:count]]


async def test_a_service_is_an_ordinary_object(int8_folder: Path, artifacts: Path) -> None:
    vector = await Encoder(int8_folder).embed("How do I undo a commit?")
    assert vector.shape == (384,)
    near = await Cluster(artifacts / "index" / "shards" / "000").nearest(vector, count=2)
    assert [len(one) for one in near] == [2, 2]
    assert near[0][1] >= near[1][1]


async def test_asking_every_cluster_finds_what_an_exact_search_finds(
    artifacts: Path, sentences: list[str], vectors: Vectors, int8_encoder: Model
) -> None:
    asked = ["How do I undo a commit?", "Why is my bread so dense?", "Can a landlord keep my deposit?"]
    async with running(QuestionSearch, artifacts=artifacts) as system:
        body = {"instances": asked, "probes": CLUSTERS, "count": 4}
        answer = (await system.client.post("/process", json=body)).json()
    expected = [exact(sentences, vectors, query, 4) for query in int8_encoder.embed(asked)]
    assert [match["question"] for match in answer["matches"]] == [question for four in expected for question in four]
    assert [match["instance"] for match in answer["matches"]] == [0] * 4 + [1] * 4 + [2] * 4
    assert answer["match"] == expected[0][0]


async def test_a_question_of_the_corpus_is_its_own_best_match(artifacts: Path, sentences: list[str]) -> None:
    async with running(QuestionSearch, artifacts=artifacts) as system:
        answer = (await system.client.post("/process", json={"instances": sentences})).json()
    assert [match["question"] for match in answer["matches"]] == sentences
    assert all(match["score"] > 0.999 for match in answer["matches"])
    assert {match["cluster"] for match in answer["matches"]} == set(range(CLUSTERS))


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        ({"instances": []}, 422, "$.instances"),
        ({"instances": ["a"], "probes": 0}, 422, "$.probes"),
        ({"instances": ["a"], "probes": 1001}, 422, "$.probes"),
        ({"instances": ["a"], "count": 101}, 422, "$.count"),
        ({"instances": ["a", 1]}, 422, "$.instances[1]"),
        ({"instances": "a"}, 422, "$.instances"),
        ({"instances": ["a"], "prbes": 2}, 422, "$.prbes"),
        ({}, 422, "$.instances"),
    ],
)
async def test_bad_input_names_the_field(artifacts: Path, body: dict[str, Any], status: int, path: str) -> None:
    async with running(QuestionSearch, artifacts=artifacts) as system:
        response = await system.client.post("/process", json=body)
    assert response.status_code == status
    assert response.json()["errors"][0]["path"] == path


@pytest.mark.parametrize("text", ["", " ", "é" * 10_000, "\N{CROISSANT} \u202e", "why " * 3000])
async def test_odd_questions_are_answered(artifacts: Path, text: str) -> None:
    async with running(QuestionSearch, artifacts=artifacts) as system:
        response = await system.client.post("/process", json={"instances": [text]})
    assert response.status_code == 200
    assert len(response.json()["matches"]) == 1


async def test_killed_replicas_lose_nothing(artifacts: Path, sentences: list[str]) -> None:
    asked = sentences[:10]
    async with running_processes(
        QuestionSearch, target="apps.question_search.app", artifacts=artifacts, shard_processes=2
    ) as system:

        async def ask() -> list[str]:
            response = await system.client.post("/process", json={"instances": asked})
            assert response.status_code == 200, response.text
            return [match["question"] for match in response.json()["matches"]]

        assert len([name for name in system.processes if name.startswith("Cluster")]) == 4
        asking = [asyncio.create_task(ask()) for _ in range(20)]
        system.kill("Cluster-0")
        system.kill("Encoder-0")
        assert await asyncio.gather(*asking) == [asked] * 20

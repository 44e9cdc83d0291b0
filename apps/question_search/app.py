"""Question search: an encoder, a FAISS shard per cluster of questions, and the app that asks the nearest clusters."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

import kapelle

Vector = NDArray[np.float32]
Questions = Annotated[list[str], msgspec.Meta(min_length=1, max_length=1000, examples=[["Why so serious?"]])]
Probes = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Count = Annotated[int, msgspec.Meta(ge=1, le=100)]

SAME = 0.99  # the least cosine of a question to itself: int8 depends a little on what is embedded in the same batch


class Match(msgspec.Struct, frozen=True):
    """A question of the corpus, its cosine to the one asked, the cluster it was found in, and which instance asked."""

    question: str
    score: float
    cluster: int
    instance: int = 0


class Answer(msgspec.Struct, frozen=True):
    """The matches of all instances in their order, best first within each; ``match`` is the very first question."""

    match: str
    matches: list[Match]


@kapelle.service(replicas=2, artifact="encoder")
class Encoder:
    """Sentences to unit-length embeddings."""

    def __init__(self, artifact: Path) -> None:
        from apps.question_search.encoder import Encoder as Model  # noqa: PLC0415 - only encoders pay for ONNX Runtime

        self._model = Model(artifact)

    @kapelle.batched(max_size=32, max_wait="1ms")
    def embed(self, sentences: list[str]) -> Vector:
        """One row of 384 float32 per sentence."""
        return self._model.embed(sentences)


@kapelle.service(sharded_by="index", copies=2)
class Cluster:
    """The questions of one cluster."""

    def __init__(self, shard: Path) -> None:
        from apps.question_search.shard import Shard  # noqa: PLC0415 - only shards pay for FAISS

        self._shard = Shard(shard)

    @kapelle.method
    def nearest(self, vector: Vector, count: int = 1) -> list[tuple[str, float]]:
        """The ``count`` questions nearest to a unit vector, with their cosines, best first."""
        return self._shard.nearest(vector, count)


@kapelle.app(artifact="index")
class QuestionSearch:
    """Finds the questions that mean the same as yours."""

    encoder: Encoder
    cluster: kapelle.Sharded[Cluster]

    def __init__(self, artifact: Path) -> None:
        self._centroids: Vector = np.load(artifact / "centroids.npy")
        # None in an index that was built before there were any.
        self._samples: list[str] = json.loads((artifact / "about.json").read_bytes()).get("samples", [])

    @kapelle.post("/process")
    async def process(self, instances: Questions, probes: Probes = 3, count: Count = 1) -> Answer:
        """Find the nearest questions of each instance.

        ``probes`` is how many clusters are searched, nearest first (all of them, where there are fewer); ``count`` is how
        many questions are returned for each instance.
        """
        vectors = await self.encoder.embed.many(instances)
        found = await asyncio.gather(*(self._search(*one, probes, count) for one in enumerate(vectors)))
        for best, *_ in found:
            kapelle.quality(best.score)
        matches = [match for one in found for match in one]
        return Answer(matches[0].question, matches)

    @kapelle.golden
    async def finds_its_own_questions(self) -> None:
        """The encoder and all shards are of one index: asked in every cluster, a question of it finds itself."""
        for question in self._samples:
            answer = await self.process([question], probes=len(self._centroids), count=100)
            score = max((match.score for match in answer.matches if match.question == question), default=0.0)
            if score < SAME:
                raise ValueError(f"{question!r} finds itself with a cosine of {score}, expected {SAME} at least")

    @kapelle.golden
    async def finds_them_in_few_clusters(self) -> None:
        """The centroids are those of the shards: asked as by users, most questions find their like."""
        answers = [await self.process([question]) for question in self._samples]
        found = sum(answer.matches[0].score >= SAME for answer in answers)
        if found < len(answers) / 2:
            raise ValueError(f"{found} of {len(answers)} questions are found in few clusters, expected half of them")

    async def _search(self, instance: int, vector: Vector, probes: int, count: int) -> list[Match]:
        clusters = np.argsort(self._centroids @ vector)[::-1][:probes].tolist()
        found = await asyncio.gather(*(self.cluster.shard(one).nearest(vector, count) for one in clusters))
        matches = [
            Match(question, round(score, 4), cluster, instance)
            for cluster, near in zip(clusters, found, strict=True)
            for question, score in near
        ]
        return sorted(matches, key=lambda match: -match.score)[:count]

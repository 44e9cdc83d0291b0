"""The tiny model on Kapelle: `Tiny` one request at a time, `TinyBatched` in batches, `Fused` inside the gateway."""

from __future__ import annotations

import msgspec
from tiny_model import classify

import kapelle


class Answer(msgspec.Struct):
    predictions: list[int]


@kapelle.service
class Classifier:
    @kapelle.method
    def classify(self, instances: list[list[float]]) -> list[int]:
        return classify(instances)


@kapelle.service
class BatchedClassifier:
    @kapelle.batched(max_size=32, max_wait="1ms")
    def classify(self, instances: list[list[float]]) -> list[int]:
        return classify(instances)


@kapelle.service(inline=True)
class InlineClassifier:
    @kapelle.method
    def classify(self, instances: list[list[float]]) -> list[int]:
        return classify(instances)


@kapelle.app
class Tiny:
    classifier: Classifier

    @kapelle.post("/predict")
    async def predict(self, instances: list[list[float]]) -> Answer:
        return Answer(await self.classifier.classify(instances))


@kapelle.app
class TinyBatched:
    classifier: BatchedClassifier

    @kapelle.post("/predict")
    async def predict(self, instances: list[list[float]]) -> Answer:
        return Answer(await self.classifier.classify.many(instances))


@kapelle.app
class Fused:
    classifier: InlineClassifier

    @kapelle.post("/predict")
    async def predict(self, instances: list[list[float]]) -> Answer:
        return Answer(await self.classifier.classify(instances))

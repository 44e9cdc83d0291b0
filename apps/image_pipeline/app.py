"""The image pipeline: a picture is decoded, classified and named, each in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

import kapelle
from apps.image_pipeline.golden import read_golden
from apps.image_pipeline.labels import read_labels

Picture = Annotated[NDArray[np.float32], kapelle.Tensor(3, 32, 32)]
Pictures = Annotated[NDArray[np.float32], kapelle.Tensor("n", 3, 32, 32)]
Probabilities = Annotated[NDArray[np.float32], kapelle.Tensor(10, name="probabilities")]
CLOSE = 0.02  # of a probability: other processors round otherwise
Count = Annotated[int, msgspec.Meta(ge=1, le=10)]


class Guess(msgspec.Struct, frozen=True):
    """A label, its place among all labels, and how likely it is."""

    index: int
    label: str
    probability: float


class Finding(msgspec.Struct, frozen=True):
    """What a picture shows: the likeliest label, and the best guesses, likeliest first."""

    index: int
    label: str
    probability: float
    top: list[Guess]


@kapelle.service
class Preprocess:
    """Files of pictures to what the classifier takes."""

    def __init__(self) -> None:
        from apps.image_pipeline import images  # noqa: PLC0415 - only this service pays for Pillow

        self._images = images

    @kapelle.method
    def prepare(self, file: bytes) -> Picture:
        """The middle square of a picture, normalised: 3 x 32 x 32."""
        return self._images.prepare(self._images.decode(file))


@kapelle.service(replicas=2, artifact="classifier")
class Classifier:
    """Pictures to the probabilities of their labels."""

    def __init__(self, artifact: Path) -> None:
        from apps.image_pipeline.classifier import Classifier as Model  # noqa: PLC0415 - only this one pays for ONNX Runtime

        self._model = Model(artifact)

    @kapelle.batched(max_size=32, max_wait="2ms")
    def classify(
        self, pictures: Pictures
    ) -> Annotated[NDArray[np.float32], kapelle.Tensor("n", 10, name="probabilities")]:
        """A row of probabilities for each picture."""
        return self._model.probabilities(pictures)


@kapelle.service(artifact="classifier")
class Postprocess:
    """Probabilities to names."""

    def __init__(self, artifact: Path) -> None:
        self._labels = read_labels(artifact)

    @kapelle.method
    def finish(self, probabilities: Probabilities, count: Count = 3) -> Finding:
        """The maximum, and the ``count`` likeliest."""
        best = np.argsort(-probabilities, kind="stable")[:count].tolist()
        top = [Guess(index, self._labels[index], round(float(probabilities[index]), 4)) for index in best]
        return Finding(top[0].index, top[0].label, top[0].probability, top)


@kapelle.app(artifact="classifier")
class ImagePipeline:
    """Says what a picture shows: one of ten things, from airplanes to trucks."""

    preprocess: Preprocess
    classifier: Classifier
    postprocess: Postprocess

    def __init__(self, artifact: Path) -> None:
        self._golden = read_golden(artifact)

    @kapelle.post("/finalize")
    async def finalize(self, file: kapelle.Upload, count: kapelle.Query[Count] = 3) -> Finding:
        """Classify a picture of any size, in any format that Pillow reads.

        ``count`` is how many guesses are returned.
        """
        picture = await self.preprocess.prepare(file.data)
        probabilities = await self.classifier.classify(picture)
        finding = await self.postprocess.finish(probabilities, count)
        kapelle.quality(finding.probability)
        return finding

    @kapelle.golden
    async def knows_its_sample(self) -> None:
        """All three services are of one release: the picture that was classified at the build is so again."""
        golden = self._golden
        found = await self.finalize(kapelle.Upload("sample.png", "image/png", golden.picture))
        if found.index != golden.index or abs(found.probability - golden.probability) > CLOSE:
            raise ValueError(
                f"the sample is {found.label} ({found.probability}), expected label {golden.index} ({golden.probability})"
            )

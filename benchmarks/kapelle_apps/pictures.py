"""Pictures on Kapelle: `Pipeline` decodes, infers and answers in three processes, `Relay` takes tensors as they are."""

from __future__ import annotations

import msgspec
import numpy as np
import picture_model
from numpy.typing import NDArray

import kapelle


class Answer(msgspec.Struct):
    band: int


@kapelle.service
class Preprocess:
    @kapelle.method
    def tensor(self, jpeg: bytes) -> NDArray[np.float32]:
        return picture_model.preprocess(jpeg)


@kapelle.service
class Model:
    @kapelle.method
    def predict(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        return picture_model.infer(tensor)


@kapelle.app
class Pipeline:
    preprocess: Preprocess
    model: Model

    @kapelle.post("/predict")
    async def predict(self, jpeg: bytes) -> Answer:
        # The largest of ten numbers is found where it is answered: that needs no process of its own.
        return Answer(picture_model.postprocess(await self.model.predict(await self.preprocess.tensor(jpeg))))


@kapelle.app
class Relay:
    model: Model

    @kapelle.post("/predict")
    async def predict(self, tensor: memoryview) -> Answer:
        return Answer(picture_model.postprocess(await self.model.predict(picture_model.tensor_from(tensor))))

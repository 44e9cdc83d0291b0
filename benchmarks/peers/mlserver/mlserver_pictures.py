"""The picture scenarios on MLServer, which has one stage: all the work is its worker's."""

from __future__ import annotations

import base64

import numpy as np
from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput
from picture_model import infer, postprocess, preprocess, tensor_from


class Pipeline(MLModel):
    async def load(self) -> bool:
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        band = postprocess(infer(self.tensor(base64.b64decode(payload.inputs[0].data[0]))))
        output = ResponseOutput(name="band", shape=[1], datatype="INT64", data=[band])
        return InferenceResponse(model_name=self.name, outputs=[output])

    def tensor(self, data: bytes) -> np.ndarray:
        return preprocess(data)


class Relay(Pipeline):
    def tensor(self, data: bytes) -> np.ndarray:
        return tensor_from(data)

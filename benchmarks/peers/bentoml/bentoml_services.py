"""The tiny model on BentoML, one request at a time and with adaptive batching."""

import bentoml
import numpy as np
from tiny_model import classify, classify_array

SETTINGS = {"workers": 1, "logging": {"access": {"enabled": False}}}


@bentoml.service(**SETTINGS)
class Tiny:
    @bentoml.api(route="/predict")
    async def predict(self, instances: list[list[float]]) -> dict[str, list[int]]:
        return {"predictions": classify(instances)}


@bentoml.service(**SETTINGS)
class TinyBatched:
    @bentoml.api(route="/predict", batchable=True, batch_dim=0, max_batch_size=32)
    async def predict(self, instances: np.ndarray) -> np.ndarray:
        return classify_array(instances.astype(np.float32))

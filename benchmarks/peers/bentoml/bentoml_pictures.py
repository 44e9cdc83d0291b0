"""The picture scenarios on BentoML: services in processes of their own that call each other."""

import bentoml
import numpy as np
from picture_model import infer, postprocess, preprocess, tensor_from

SETTINGS = {
    "workers": 1,
    "logging": {"access": {"enabled": False}},
    # Connections between services are kept: closing them under load, its default, fails requests.
    "runner_connection": {"max_requests": 1_000_000_000, "max_age": 86_400.0},
}


@bentoml.service(**SETTINGS)
class Model:
    @bentoml.api
    async def predict(self, tensor: np.ndarray) -> np.ndarray:
        return infer(tensor)


@bentoml.service(**SETTINGS)
class Postprocess:
    @bentoml.api
    async def band(self, scores: np.ndarray) -> int:
        return postprocess(scores)


@bentoml.service(**SETTINGS)
class Pipeline:
    model = bentoml.depends(Model)
    postprocess = bentoml.depends(Postprocess)

    @bentoml.api(route="/predict")
    async def predict(self, jpeg: bytes, /) -> dict[str, int]:
        scores = await self.model.to_async.predict(tensor=preprocess(jpeg))
        return {"band": await self.postprocess.to_async.band(scores=scores)}


@bentoml.service(**SETTINGS)
class Relay:
    model = bentoml.depends(Model)

    @bentoml.api(route="/predict")
    async def predict(self, tensor: bytes, /) -> dict[str, int]:
        return {"band": postprocess(np.asarray(await self.model.to_async.predict(tensor=tensor_from(tensor))))}

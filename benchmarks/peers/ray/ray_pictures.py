"""The picture scenarios on Ray Serve: `pipeline` is three deployments, `relay` (SCENARIO) one behind Ray's front."""

from __future__ import annotations

import os
import signal
from typing import Any

import numpy as np
import ray
from picture_model import infer, postprocess, preprocess, tensor_from
from ray import serve
from ray.serve.config import HTTPOptions
from ray.serve.handle import DeploymentHandle
from starlette.requests import Request
from starlette.responses import JSONResponse

QUIET = {"enable_access_log": False, "log_level": "WARNING"}
ONE_REPLICA: dict[str, Any] = {
    "num_replicas": 1,
    "max_ongoing_requests": 256,
    "ray_actor_options": {"num_cpus": 1},
    "logging_config": QUIET,
}


@serve.deployment(**ONE_REPLICA)
class Model:
    async def predict(self, tensor: np.ndarray) -> np.ndarray:
        return infer(tensor)


@serve.deployment(**ONE_REPLICA)
class Postprocess:
    async def band(self, scores: np.ndarray) -> int:
        return postprocess(scores)


@serve.deployment(**ONE_REPLICA)
class Pipeline:
    def __init__(self, model: DeploymentHandle, postprocess: DeploymentHandle) -> None:
        self.model = model
        self.postprocess = postprocess

    async def __call__(self, request: Request) -> JSONResponse:
        scores = self.model.predict.remote(preprocess(await request.body()))
        # A response that has not come yet may be passed on: Ray's way to chain deployments.
        return JSONResponse({"band": await self.postprocess.band.remote(scores)})


@serve.deployment(**ONE_REPLICA)
class Relay:
    async def __call__(self, request: Request) -> JSONResponse:
        return JSONResponse({"band": postprocess(infer(tensor_from(await request.body())))})


if __name__ == "__main__":
    # More CPUs than the machine may have: Ray would not place its own actors otherwise. They bind nothing.
    ray.init(num_cpus=8, include_dashboard=False, log_to_driver=False, _temp_dir=os.environ["RAY_FOLDER"])
    serve.start(http_options=HTTPOptions(host="127.0.0.1", port=int(os.environ["PORT"])), logging_config=QUIET)
    app = Relay.bind() if os.environ["SCENARIO"] == "relay" else Pipeline.bind(Model.bind(), Postprocess.bind())
    serve.run(app, name="pictures", route_prefix="/predict")
    signal.pause()  # Ray's own handler of SIGTERM ends this process, and its cluster with it

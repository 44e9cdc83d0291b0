"""The tiny model on Ray Serve; BATCHED=1 lets up to 32 requests share one product."""

from __future__ import annotations

import os
import signal
from typing import Any

import ray
from ray import serve
from ray.serve.config import HTTPOptions
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from tiny_json import Answer, decode_request, encode_answer
from tiny_model import classify, classify_batch

QUIET = {"enable_access_log": False, "log_level": "WARNING"}
ONE_REPLICA: dict[str, Any] = {
    "num_replicas": 1,
    "max_ongoing_requests": 256,
    "ray_actor_options": {"num_cpus": 1},
    "logging_config": QUIET,
}


async def instances_of(request: HttpRequest) -> list[list[float]]:
    return decode_request(await request.body()).instances


def answer(classes: list[int]) -> Response:
    return Response(encode_answer(Answer(classes)), media_type="application/json")


@serve.deployment(**ONE_REPLICA)
class Tiny:
    async def __call__(self, request: HttpRequest) -> Response:
        return answer(classify(await instances_of(request)))


@serve.deployment(**ONE_REPLICA)
class TinyBatched:
    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.001)
    async def classify(self, requests: list[list[list[float]]]) -> list[list[int]]:
        return classify_batch(requests)

    async def __call__(self, request: HttpRequest) -> Response:
        return answer(await self.classify(await instances_of(request)))


if __name__ == "__main__":
    # More CPUs than the machine may have: Ray would not place its own actors otherwise. They bind nothing.
    ray.init(num_cpus=8, include_dashboard=False, log_to_driver=False, _temp_dir=os.environ["RAY_FOLDER"])
    serve.start(http_options=HTTPOptions(host="127.0.0.1", port=int(os.environ["PORT"])), logging_config=QUIET)
    deployment = TinyBatched if os.environ["BATCHED"] else Tiny
    serve.run(deployment.bind(), name="tiny", route_prefix="/predict")
    signal.pause()  # Ray's own handler of SIGTERM ends this process, and its cluster with it

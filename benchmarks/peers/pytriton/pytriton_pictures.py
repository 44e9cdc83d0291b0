"""The picture scenarios on Triton, with the work in Python by PyTriton: one callable does all of it."""

from __future__ import annotations

import logging
import os
from typing import Any

import numpy as np
from picture_model import SHAPE, infer, postprocess, preprocess
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

BAND = Tensor(name="band", dtype=np.int64, shape=(1,))


def band(tensor: np.ndarray) -> dict[str, np.ndarray]:
    return {"band": np.array([postprocess(infer(tensor))], np.int64)}


def pipeline(requests: list[Any]) -> list[dict[str, np.ndarray]]:
    return [band(preprocess(request["x"].tobytes())) for request in requests]


def relay(requests: list[Any]) -> list[dict[str, np.ndarray]]:
    return [band(request["x"]) for request in requests]


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    config = TritonConfig(
        http_address="127.0.0.1", http_port=int(os.environ["PORT"]), allow_grpc=False, allow_metrics=False
    )
    with Triton(config=config) as triton:
        work, x = {
            "pipeline": (pipeline, Tensor(name="x", dtype=np.uint8, shape=(-1,))),
            "relay": (relay, Tensor(name="x", dtype=np.float32, shape=SHAPE)),
        }[os.environ["SCENARIO"]]
        triton.bind("model", work, inputs=[x], outputs=[BAND], config=ModelConfig(batching=False), strict=False)
        triton.serve()

"""The picture scenarios on mosec: `pipeline` is three stages, `relay` (SCENARIO) one behind mosec's front.

Tensors travel between stages as their bytes, through the hooks that mosec documents in place of its pickles.
"""

from __future__ import annotations

import os

import numpy as np
from mosec import Server, Worker
from picture_model import infer, postprocess, preprocess, tensor_from


class Preprocess(Worker):
    def deserialize(self, data: bytes) -> bytes:
        return data

    def forward(self, data: bytes) -> np.ndarray:
        return preprocess(data)

    def serialize_ipc(self, data: np.ndarray) -> memoryview:
        return memoryview(data).cast("B")


class Model(Worker):
    def deserialize_ipc(self, data: bytes) -> np.ndarray:
        return tensor_from(data)

    def forward(self, data: np.ndarray) -> np.ndarray:
        return infer(data)


class Postprocess(Worker):
    def forward(self, data: np.ndarray) -> dict[str, int]:
        return {"band": postprocess(data)}


class Relay(Worker):
    def deserialize(self, data: bytes) -> np.ndarray:
        return tensor_from(data)

    def forward(self, data: np.ndarray) -> dict[str, int]:
        return {"band": postprocess(infer(data))}


if __name__ == "__main__":
    server = Server()
    for stage in (Relay,) if os.environ["SCENARIO"] == "relay" else (Preprocess, Model, Postprocess):
        server.append_worker(stage, num=1, route="/predict")
    server.run()

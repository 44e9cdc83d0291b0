"""The picture scenarios on LitServe, which has one stage: all the work is its worker's. SCENARIO says which."""

from __future__ import annotations

import os

import litserve
import numpy as np
from picture_model import infer, postprocess, preprocess, tensor_from


class Pipeline(litserve.LitAPI):
    def setup(self, device: str) -> None:
        pass

    def decode_request(self, request):  # LitServe takes an annotation here for the type of a body to parse itself
        return preprocess(request["file"].file.read())

    def predict(self, tensor: np.ndarray) -> np.ndarray:
        return infer(tensor)

    def encode_response(self, output):  # and here for a response model
        return {"band": postprocess(output)}


class Relay(Pipeline):
    def decode_request(self, request):
        return tensor_from(request["file"].file.read())


if __name__ == "__main__":
    api = {"pipeline": Pipeline, "relay": Relay}[os.environ["SCENARIO"]](api_path="/predict")
    server = litserve.LitServer(api, accelerator="cpu", devices=1, workers_per_device=1, fast_queue=True)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        num_api_servers=1,
        log_level="warning",
        access_log=False,
        generate_client_file=False,
    )

"""The tiny model on LitServe; BATCHED=1 lets up to 32 requests share one product."""

from __future__ import annotations

import os

import litserve
from tiny_model import classify, classify_batch


class Tiny(litserve.LitAPI):
    def setup(self, device: str) -> None:
        pass

    def decode_request(self, request):  # LitServe takes an annotation here for the type of a body to parse itself
        return request["instances"]

    def predict(self, instances: list[list[float]]) -> list[int]:
        return classify(instances)

    def encode_response(self, output):  # and here for a response model
        return {"predictions": output}


class TinyBatched(Tiny):
    def batch(self, inputs: list[list[list[float]]]) -> list[list[list[float]]]:
        return inputs

    def predict(self, instances: list[list[list[float]]]) -> list[list[int]]:
        return classify_batch(instances)

    def unbatch(self, output: list[list[int]]) -> list[list[int]]:
        return output


if __name__ == "__main__":
    if os.environ["BATCHED"]:
        api: litserve.LitAPI = TinyBatched(api_path="/predict", max_batch_size=32, batch_timeout=0.001)
    else:
        api = Tiny(api_path="/predict")
    server = litserve.LitServer(api, accelerator="cpu", devices=1, workers_per_device=1, fast_queue=True)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        num_api_servers=1,
        log_level="warning",
        access_log=False,
        generate_client_file=False,
    )

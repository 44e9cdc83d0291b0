"""The tiny model on mosec; BATCHED=1 lets up to 32 requests share one product."""

from __future__ import annotations

import os

import msgspec
from mosec import Server, ValidationError, Worker
from tiny_json import Answer, Request, decode_request, encode_answer
from tiny_model import classify, classify_batch


class Json(Worker):
    """JSON by msgspec instead of the standard library, through the hooks that mosec documents for it."""

    def deserialize(self, data: bytes) -> Request:
        try:
            return decode_request(data)
        except msgspec.DecodeError as error:
            raise ValidationError(error) from error

    def serialize(self, data: Answer) -> bytes:
        return encode_answer(data)


class Tiny(Json):
    def forward(self, data: Request) -> Answer:
        return Answer(classify(data.instances))


class TinyBatched(Json):
    def forward(self, data: list[Request]) -> list[Answer]:
        return [Answer(classes) for classes in classify_batch([request.instances for request in data])]


if __name__ == "__main__":
    server = Server()
    if os.environ["BATCHED"]:
        server.append_worker(TinyBatched, num=1, max_batch_size=32, max_wait_time=1, route="/predict")
    else:
        server.append_worker(Tiny, num=1, route="/predict")
    server.run()

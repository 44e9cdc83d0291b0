"""The tiny model on mosec; BATCHED=1 lets up to 32 requests share one product, PLAIN=1 leaves JSON as mosec has it."""

from __future__ import annotations

import os
from typing import Any

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


class PlainTiny(Worker):
    """As mosec's first example has it: the standard library's JSON, and the worker's own checks."""

    def forward(self, data: Any) -> dict[str, list[int]]:
        return {"predictions": classify(rows_of(data))}


class PlainTinyBatched(Worker):
    def forward(self, data: list[Any]) -> list[dict[str, list[int]]]:
        return [{"predictions": classes} for classes in classify_batch([rows_of(one) for one in data])]


def rows_of(data: Any) -> Any:
    """The rows of a request, or a refusal of anything else."""
    try:
        return data["instances"]
    except (TypeError, KeyError) as error:
        raise ValidationError("expected {'instances': [...]}") from error


class Tiny(Json):
    def forward(self, data: Request) -> Answer:
        return Answer(classify(data.instances))


class TinyBatched(Json):
    def forward(self, data: list[Request]) -> list[Answer]:
        return [Answer(classes) for classes in classify_batch([request.instances for request in data])]


if __name__ == "__main__":
    server = Server()
    plain = bool(os.environ["PLAIN"])
    if os.environ["BATCHED"]:
        batched = PlainTinyBatched if plain else TinyBatched
        server.append_worker(batched, num=1, max_batch_size=32, max_wait_time=1, route="/predict")
    else:
        server.append_worker(PlainTiny if plain else Tiny, num=1, route="/predict")
    server.run()

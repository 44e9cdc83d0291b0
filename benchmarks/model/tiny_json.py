"""The tiny model's requests and answers as JSON by msgspec: checked, and as fast as Python does it.

For the peers that leave JSON to their users. It is a module of its own because Ray sends a server's classes to its
replicas by value, which msgspec's decoders do not survive, and modules by name.
"""

from __future__ import annotations

import msgspec


class Request(msgspec.Struct):
    instances: list[list[float]]


class Answer(msgspec.Struct):
    predictions: list[int]


DECODER = msgspec.json.Decoder(Request)
ENCODER = msgspec.json.Encoder()


def decode_request(body: bytes) -> Request:
    """Parse and check a request's body.

    Raises:
        msgspec.DecodeError: it is not JSON, or not of the request's form.
    """
    return DECODER.decode(body)


def encode_answer(answer: Answer) -> bytes:
    return ENCODER.encode(answer)

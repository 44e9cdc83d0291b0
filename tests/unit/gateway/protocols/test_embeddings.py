"""OpenAI's way of asking for embeddings."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import numpy as np
import pytest

from kapelle.errors import ContractError, InvalidInput
from kapelle.gateway.problems import HttpError
from kapelle.gateway.protocols.embeddings import EmbeddingsEndpoint, encoders
from kapelle.gateway.protocols.models import models_of
from kapelle.observe.metrics import Registry
from tests.unit.gateway.protocols.zoo import exposed, function_of
from tests.unit.gateway.recorder import make_request

ENCODERS = encoders(models_of(exposed()))


def endpoint() -> EmbeddingsEndpoint:
    return EmbeddingsEndpoint(ENCODERS, 30.0, Registry(), 1 << 20)


async def asked(**fields: Any) -> Any:
    request = make_request("POST", b"/", msgspec.json.encode({"model": "Animals.embed", **fields}))
    found = await endpoint().begin(function_of, request, {})
    return msgspec.json.decode(endpoint().encode(request, found)[1])


def test_encoders_turn_each_text_into_numbers() -> None:
    assert [one.name for one in ENCODERS] == ["Animals.embed"]


async def test_each_text_has_an_embedding() -> None:
    answer = await asked(input=["a", "bcd"])
    assert answer["data"] == [
        {"object": "embedding", "index": 0, "embedding": [1.0, 1.0, 1.0]},
        {"object": "embedding", "index": 1, "embedding": [3.0, 3.0, 3.0]},
    ]
    assert (answer["object"], answer["model"]) == ("list", "Animals.embed")
    assert set(answer["usage"]) == {"prompt_tokens", "total_tokens"}
    assert (await asked(input="abcd", dimensions=3))["data"][0]["embedding"] == [4.0, 4.0, 4.0]


async def test_embeddings_come_in_base64_where_it_is_asked_for() -> None:
    (found,) = (await asked(input="ab", encoding_format="base64"))["data"]
    assert np.frombuffer(base64.b64decode(found["embedding"]), "<f4").tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"input": []}, "1 to 2048 texts, got 0"),
        ({"input": ["x"] * 2049}, "got 2049"),
        ({"input": [1, 2, 3]}, "tokens are not taken"),
        ({"input": ["a", ""]}, "empty"),
        ({"input": 3}, "Expected `str | array`"),
        ({}, "missing required field `input`"),
        ({"input": "x", "encoding_format": "hex"}, "hex"),
        ({"input": "x", "dimensions": 2}, "has 3 dimensions"),
    ],
    ids=[str(at) for at in range(8)],
)
async def test_what_does_not_fit_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        await asked(**fields)


@pytest.mark.parametrize(
    ("fields", "path"), [({"input": 3}, "input"), ({"input": "x", "dimensions": "3"}, "dimensions")]
)
async def test_a_wrong_type_is_told_with_its_place(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidInput, match=r"^Expected `[a-z |]+`, got `[a-z]+`$") as refused:
        await asked(**fields)
    assert refused.value.path == path


async def test_what_is_null_is_not_said() -> None:
    (found,) = (await asked(input="ab", encoding_format=None, dimensions=None, user=None))["data"]
    assert found["embedding"] == [2.0, 2.0, 2.0]


async def test_a_model_that_is_not_there_is_told_in_openais_form() -> None:
    with pytest.raises(HttpError) as refused:
        await asked(model="ada", input="x")
    status, (_, body, _) = endpoint().refusal(refused.value, "id")
    assert status == 404
    assert msgspec.json.decode(body)["error"] == {
        "message": "the model 'ada' does not exist; there is Animals.embed",
        "type": "invalid_request_error",
        "param": None,
        "code": "model_not_found",
    }


def test_other_errors_have_their_places() -> None:
    status, (_, body, _) = endpoint().refusal(InvalidInput("expected text", path="input[0]"), "id")
    assert (status, msgspec.json.decode(body)["error"]["param"]) == (400, "input[0]")
    status, (_, body, _) = endpoint().refusal(ValueError("secret"), "id")
    assert (status, msgspec.json.decode(body)["error"]["type"]) == (500, "server_error")
    assert b"secret" not in body


async def test_an_encoder_that_gives_no_rows_is_to_blame() -> None:
    request = make_request("POST", b"/", b'{"model": "Animals.embed", "input": "x"}')

    async def embed(texts: list[str]) -> Any:
        return np.zeros(len(texts))

    found = await endpoint().begin(lambda _: embed, request, {})
    with pytest.raises(ContractError, match="a row for each text"):
        endpoint().encode(request, found)

"""Predictions by rows and by whole tensors."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from kapelle.errors import InvalidInput
from kapelle.gateway.problems import HttpError
from kapelle.gateway.protocols.inference import Inference, Inferred, Produced, Wanted
from kapelle.gateway.protocols.predict import PredictEndpoint
from tests.unit.gateway.protocols.zoo import MODELS, common, function_of
from tests.unit.gateway.recorder import make_request


async def asked(name: str, body: dict[str, Any] | bytes) -> Any:
    endpoint = PredictEndpoint(name, MODELS[name], common())
    request = make_request("POST", b"/", body if isinstance(body, bytes) else msgspec.json.encode(body))
    kind, answer, _ = endpoint.encode(request, await endpoint.begin(function_of(name), request, {}))
    assert kind == b"application/json"
    return msgspec.json.decode(answer)


async def test_rows_are_answered_by_rows() -> None:
    rows = [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert await asked("Doubler", {"instances": rows}) == {"predictions": (2.0 * np.array(rows)).tolist()}
    named = [{"x": row} for row in rows]
    assert await asked("Doubler", {"instances": named}) == {"predictions": (2.0 * np.array(rows)).tolist()}


async def test_several_outputs_make_objects() -> None:
    instances = [{"a": [1, 2], "words": "x"}, {"a": [3, 4], "words": "y"}]
    assert await asked("Animals.both", {"instances": instances}) == {
        "predictions": [{"total": 6.0, "words": "X"}, {"total": 14.0, "words": "Y"}]
    }


async def test_outputs_that_have_no_common_rows_cannot_be_told_by_rows() -> None:
    with pytest.raises(InvalidInput, match="ask with inputs"):
        await asked("Animals.named", {"instances": [True, False]})


@pytest.mark.parametrize("count", [1, 2])
def test_outputs_without_a_dimension_have_no_rows(count: int) -> None:
    values: list[Any] = [np.array(3, np.int64), np.array([1], np.int64)]
    outputs = [
        (Produced("ab"[at], "INT64", values[at % count].shape, values[at % count]), Wanted("", False)) for at in (0, 1)
    ]
    endpoint = PredictEndpoint("Animals.named", MODELS["Animals.named"], common())
    for whole in ({}, {"whole": True}):
        inferred = Inferred("Animals.named", Inference("", [], None, parameters=whole), outputs)
        if whole:
            shown = {"a": 3, "b": [1] if count == 2 else 3}
            assert msgspec.json.decode(endpoint.encode(make_request(), inferred)[1]) == {"outputs": shown}
        else:
            with pytest.raises(InvalidInput, match="ask with inputs"):
                endpoint.encode(make_request(), inferred)


async def test_whole_tensors_are_answered_whole() -> None:
    assert await asked("Doubler", {"inputs": [[1, 2, 3, 4]]}) == {"outputs": [[2.0, 4.0, 6.0, 8.0]]}
    inputs = {"a": [[1, 2]], "words": ["x"], "scale": 3.0}
    assert await asked("Animals.both", {"inputs": inputs}) == {"outputs": {"total": [9.0], "words": ["X"]}}


async def test_texts_are_rows_as_well() -> None:
    assert await asked("Animals.embed", {"instances": ["a", "bcd"]}) == {"predictions": [[1.0] * 3, [3.0] * 3]}


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": {"b64": "YmE="}},
        {"inputs": {"data": {"b64": "YmE="}}},
        {"instances": [{"b64": "YmE="}]},
        {"instances": [{"data": {"b64": "YmE="}}]},
    ],
)
async def test_bytes_come_in_base64(body: Any) -> None:
    (answer,) = (await asked("Animals.raw", body)).values()
    assert answer == ["ab"]


@pytest.mark.parametrize("packed", ["no base64", 3, None])
async def test_what_is_no_base64_is_refused(packed: Any) -> None:
    with pytest.raises(InvalidInput, match="expected base64 in b64, got") as refused:
        await asked("Animals.raw", {"instances": [{"b64": packed}]})
    assert refused.value.path == "instances.data"


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("Doubler", b"{", "not JSON"),
        ("Doubler", {}, "one of instances and inputs"),
        ("Doubler", {"instances": [[1] * 4], "inputs": [[1] * 4]}, "one of instances and inputs"),
        ("Doubler", {"instances": []}, "at least one"),
        ("Doubler", {"instances": "x"}, "Expected `array"),
        ("Doubler", {"instances": [[1, 2], [3]]}, "rectangular"),
        ("Doubler", {"instances": [[1, 2, 3]]}, r"expects \[-1, 4\]"),
        ("Doubler", {"instances": [{"x": [1] * 4}, [1] * 4]}, "like the first"),
        ("Doubler", {"instances": [{"z": 1}]}, "no input 'z'"),
        ("Doubler", {"instances": [["a", "b", "c", "d"]]}, "numbers only"),
        ("Animals.both", {"instances": [1]}, "expected an object"),
        ("Animals.both", {"inputs": {"a": [1]}}, "'words' of Animals.both is missing"),
    ],
    ids=[str(at) for at in range(12)],
)
async def test_what_does_not_fit_is_refused(name: str, body: Any, said: str) -> None:
    with pytest.raises((InvalidInput, HttpError), match=said):
        await asked(name, body)


@pytest.mark.parametrize("instances", ["x", None, {"x": [1]}])
async def test_a_wrong_type_is_told_with_its_place(instances: Any) -> None:
    with pytest.raises(InvalidInput, match=r"^Expected `array`, got `[a-z]+`$") as refused:
        await asked("Doubler", {"instances": instances})
    assert refused.value.path == "instances"


async def test_bytes_that_are_no_text_cannot_be_told() -> None:
    with pytest.raises(InvalidInput, match="not text"):
        await asked("Animals.raw", {"inputs": ["äb"]})

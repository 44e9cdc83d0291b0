"""Which methods are models, and what their tensors are."""

from __future__ import annotations

import pytest

from kapelle.gateway.protocols.models import TensorSpec, by_name, models_of
from tests.unit.gateway.protocols.zoo import MODELS, Cages, exposed


def shown(specs: tuple[TensorSpec, ...]) -> list[tuple[str, str, tuple[int, ...] | None]]:
    return [(one.name, one.datatype, one.shape) for one in specs]


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        ("Doubler.double", [("x", "FP32", (-1, 4))], [("y", "FP32", (-1, 4))]),
        (
            "Animals.both",
            [("a", "FP32", None), ("words", "BYTES", (-1,)), ("scale", "FP64", (1,))],
            [("total", "FP32", (-1,)), ("words", "BYTES", (-1,))],
        ),
        ("Animals.echo", [("x", "", None)], [("output", "", None)]),
        ("Animals.half", [("x", "BF16", (-1,))], [("output", "BF16", (-1,))]),
        ("Animals.pair", [("x", "INT32", (2,))], [("output_0", "INT64", (1,)), ("output_1", "BOOL", (1,))]),
        ("Animals.named", [("flags", "BOOL", (-1,))], [("count", "INT64", (1,)), ("values", "FP32", None)]),
        ("Animals.embed", [("texts", "BYTES", (-1,))], [("output", "FP32", None)]),
        ("Animals.sizes", [("rows", "FP32", (-1, 2))], [("output", "INT64", (-1,))]),
        ("Animals.raw", [("data", "BYTES", (1,))], [("output", "BYTES", (1,))]),
    ],
)
def test_tensors_follow_from_the_signature(
    name: str,
    inputs: list[tuple[str, str, tuple[int, ...] | None]],
    outputs: list[tuple[str, str, tuple[int, ...] | None]],
) -> None:
    assert shown(MODELS[name].inputs) == inputs
    assert shown(MODELS[name].outputs) == outputs


def test_defaults_make_inputs_optional() -> None:
    assert [one.required for one in MODELS["Animals.both"].inputs] == [True, True, False]


def test_what_has_other_types_or_streams_is_no_model() -> None:
    assert "Animals.plain" not in MODELS
    assert "Animals.stream" not in MODELS


def test_the_only_method_of_a_service_has_its_name_too() -> None:
    assert MODELS["Doubler"] is MODELS["Doubler.double"]
    assert "Animals" not in MODELS


def test_batches_have_a_limit() -> None:
    assert (MODELS["Doubler"].batched, MODELS["Doubler"].max_batch) == (True, 8)
    assert (MODELS["Animals.echo"].batched, MODELS["Animals.echo"].max_batch) == (False, 0)


def test_sharded_services_have_models() -> None:
    assert set(by_name(models_of(exposed(Cages)))) == {"Cage", "Cage.look"}

"""Tensors are checked before the method sees them, and its result before the client does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kapelle.errors import ContractError, InvalidInput
from kapelle.gateway.protocols.inference import Given, Inference, Inferred, Wanted, infer
from kapelle.gateway.protocols.models import models_of
from kapelle.oip.datatypes import write_bytes
from tests.unit.gateway.protocols.zoo import MODELS, Cages, exposed, function_of


def an_input(name: str, datatype: str, shape: tuple[int, ...], content: Any) -> Given:
    return Given(name, datatype, shape, content, "inputs[0]")


async def asked(model: str, *inputs: Given, wanted: list[Wanted] | None = None) -> Inferred:
    return await infer(model, MODELS[model], function_of(model), Inference("", list(inputs), wanted))


async def values(model: str, *inputs: Given) -> dict[str, Any]:
    inferred = await asked(model, *inputs)
    return {one.name: one.value if isinstance(one.value, list) else one.value.tolist() for one, _ in inferred.outputs}


ROWS = np.arange(8, dtype=np.float32).reshape(2, 4)


@pytest.mark.parametrize(
    "content", [ROWS.tobytes(), ROWS.reshape(-1).tolist(), ROWS.tolist(), memoryview(ROWS.tobytes())]
)
async def test_values_come_as_bytes_flat_or_nested(content: Any) -> None:
    assert await values("Doubler", an_input("x", "FP32", (2, 4), content)) == {"y": (ROWS * 2).tolist()}


async def test_narrower_floats_are_widened() -> None:
    half = ROWS.astype(np.float16).tobytes()
    brain = (ROWS.view(np.uint32) >> 16).astype("<u2").tobytes()
    assert await values("Doubler", an_input("x", "FP16", (2, 4), half)) == {"y": (ROWS * 2).tolist()}
    assert await values("Doubler", an_input("x", "BF16", (2, 4), brain)) == {"y": (ROWS * 2).tolist()}
    assert await values("Animals.half", an_input("x", "BF16", (8,), brain)) == {
        "output": (ROWS / 2).reshape(-1).tolist()
    }


async def test_texts_come_as_bytes_or_values() -> None:
    expected = {"total": [6.0], "words": ["Ä".encode(), b"B"]}
    a = an_input("a", "FP32", (1, 3), [1, 1, 1])
    assert await values("Animals.both", a, an_input("words", "BYTES", (2,), ["ä", "b"])) == expected
    packed = write_bytes(["ä".encode(), b"b"])
    assert await values("Animals.both", a, an_input("words", "BYTES", (2, 1), packed)) == expected


async def test_scalars_have_one_element() -> None:
    a, words = an_input("a", "FP32", (2,), [1, 2]), an_input("words", "BYTES", (1,), ["x"])
    found = await values("Animals.both", a, words, an_input("scale", "FP64", (1,), [10.0]))
    assert found["total"] == [10.0, 20.0]
    assert await values("Animals.raw", an_input("data", "BYTES", (1,), ["abc"])) == {"output": [b"cba"]}


async def test_results_are_taken_apart() -> None:
    pair = an_input("x", "INT32", (2,), [7, 1])
    assert await values("Animals.pair", pair) == {"output_0": [7], "output_1": [True]}
    flags = an_input("flags", "BOOL", (3,), [True, False, True])
    assert await values("Animals.named", flags) == {"count": [3], "values": [1.0, 0.0, 1.0]}
    rows = an_input("rows", "FP32", (2, 2), [1, 2, 3, 4])
    assert await values("Animals.sizes", rows) == {"output": [3, 7]}


async def test_any_numbers_are_taken_where_none_are_named() -> None:
    for dtype, name in ((np.int8, "INT8"), (np.uint64, "UINT64"), (np.float64, "FP64"), (np.bool_, "BOOL")):
        array = np.array([[0, 1]], dtype)
        assert await values("Animals.echo", an_input("x", name, (1, 2), array.tobytes())) == {"output": array.tolist()}


async def test_outputs_come_in_the_order_in_which_they_are_asked_for() -> None:
    inputs = an_input("a", "FP32", (1,), [1]), an_input("words", "BYTES", (1,), ["x"])
    names = [Wanted("words", binary=True), Wanted("total", binary=False)]
    inferred = await asked("Animals.both", *inputs, wanted=names)
    assert [one.name for one, _ in inferred.outputs] == ["words", "total"]


WRONG: list[tuple[str, Callable[[], list[Given]], str, str]] = [
    ("Doubler", list, "'x' of Doubler.double is missing", "inputs"),
    ("Doubler", lambda: [an_input("z", "FP32", (1, 4), b"")], "no input 'z'; it takes x", "inputs[0].name"),
    ("Doubler", lambda: 2 * [an_input("x", "FP32", (1, 4), ROWS[:1].tobytes())], "given twice", "inputs[0].name"),
    ("Doubler", lambda: [an_input("x", "FP31", (1, 4), b"")], "unknown datatype 'FP31'", "inputs[0].datatype"),
    (
        "Doubler",
        lambda: [an_input("x", "INT32", (1, 4), b"")],
        "is INT32, the model expects FP32",
        "inputs[0].datatype",
    ),
    (
        "Doubler",
        lambda: [an_input("x", "BYTES", (1, 4), b"")],
        "is BYTES, the model expects FP32",
        "inputs[0].datatype",
    ),
    ("Animals.echo", lambda: [an_input("x", "BYTES", (1,), ["a"])], "the model expects numbers", "inputs[0].datatype"),
    ("Doubler", lambda: [an_input("x", "FP32", (1, 3), b"")], "expects [-1, 4]", "inputs[0].shape"),
    ("Doubler", lambda: [an_input("x", "FP32", (4,), b"")], "expects [-1, 4]", "inputs[0].shape"),
    ("Doubler", lambda: [an_input("x", "FP32", (-1, 4), b"")], "no negative extent", "inputs[0].shape"),
    ("Doubler", lambda: [an_input("x", "FP32", (0, 4), b"")], "no rows", "inputs[0].shape"),
    ("Doubler", lambda: [an_input("x", "FP32", (1,) * 40, b"")], "at most 32", "inputs[0].shape"),
    ("Doubler", lambda: [an_input("x", "FP32", (2**62, 4), b"")], "bytes, got 0", "inputs[0].data"),
    ("Doubler", lambda: [an_input("x", "FP32", (1, 4), b"123")], "takes 16 bytes, got 3", "inputs[0].data"),
    ("Doubler", lambda: [an_input("x", "FP32", (1, 4), [1, 2, 3])], "has 4 values, got 3", "inputs[0].data"),
    ("Doubler", lambda: [an_input("x", "FP32", (1, 4), [[1, 2], [3, 4]])], "values of shape [1, 4]", "inputs[0].data"),
    ("Doubler", lambda: [an_input("x", "FP32", (1, 4), [[1], [2, 3]])], "rectangular", "inputs[0].data"),
    ("Doubler", lambda: [an_input("x", "FP32", (1, 4), ["a", 2, 3, 4])], "expected numbers only", "inputs[0].data"),
    ("Doubler", lambda: [an_input("x", "FP32", (1, 4), [1e300, 2, 3, 4])], "out of range", "inputs[0].data"),
    ("Animals.pair", lambda: [an_input("x", "INT32", (2,), [2**40, 0])], "out of range", "inputs[0].data"),
    ("Animals.pair", lambda: [an_input("x", "INT32", (2,), [1.5, 0])], "expected values of int32", "inputs[0].data"),
    ("Animals.raw", lambda: [an_input("data", "BYTES", (2,), ["a", "b"])], "expects [1]", "inputs[0].shape"),
    ("Animals.embed", lambda: [an_input("texts", "BYTES", (1,), write_bytes([b"\xff"]))], "UTF-8", "inputs[0].data"),
    ("Animals.embed", lambda: [an_input("texts", "BYTES", (2,), ["a"])], "2 elements, got 1", "inputs[0].data"),
    ("Animals.embed", lambda: [an_input("texts", "BYTES", (1,), [3])], "expected text, got int", "inputs[0].data"),
    ("Animals.embed", lambda: [an_input("texts", "BYTES", (1, 2), ["a", "b"])], "expects [-1]", "inputs[0].shape"),
]


@pytest.mark.parametrize(("model", "inputs", "said", "path"), WRONG, ids=[str(at) for at in range(len(WRONG))])
async def test_what_does_not_fit_is_refused_with_its_place(
    model: str, inputs: Callable[[], list[Given]], said: str, path: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await asked(model, *inputs())
    assert said in refused.value.detail
    assert refused.value.path == path


async def test_lists_within_lists_have_an_end() -> None:
    deep: Any = "a"
    for _ in range(100):
        deep = [deep]
    with pytest.raises(InvalidInput, match="deep"):
        await asked("Animals.embed", an_input("texts", "BYTES", (1,), deep))


@pytest.mark.parametrize(
    ("wanted", "said"),
    [([Wanted("z", binary=True)], "no output 'z'"), ([Wanted("y", binary=True)] * 2, "asked for twice")],
)
async def test_outputs_that_are_not_there_are_refused(wanted: list[Wanted], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        await asked("Doubler", an_input("x", "FP32", (1, 4), ROWS[:1].tobytes()), wanted=wanted)


async def test_a_method_that_gives_something_else_is_to_blame() -> None:
    with pytest.raises(ContractError, match="complex64"):
        await asked("Animals.bad", an_input("x", "FP32", (1,), [1]))


async def test_shards_are_named_by_a_parameter() -> None:
    (model,) = models_of(exposed(Cages))
    inputs = [an_input("x", "FP32", (1,), [1])]

    async def look(*, x: Any, shard: int) -> Any:
        return x * shard

    inferred = await infer("Cage", model, look, Inference("", inputs, None, parameters={"shard": 3}))
    assert inferred.outputs[0][0].value.tolist() == [3.0]  # type: ignore[union-attr]  # an array
    for parameters in ({}, {"shard": "3"}, {"shard": True}):
        with pytest.raises(InvalidInput, match="number of a shard"):
            await infer("Cage", model, look, Inference("", inputs, None, parameters=parameters))

from __future__ import annotations

from collections.abc import Iterator
from math import erf, sqrt

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from apps.question_search import minilm
from apps.question_search.precision import Float32, Int8
from apps.question_search.weights import Weights

Floats = NDArray[np.float64]

# "[CLS] why so serious ? [SEP]", one word, and 128 words of all kinds, beside padding.
TOKENS = [[101, 2339, 2061, 3809, 1029, 102], [101, 3042, 102], [101, *range(2000, 30522, 227), 102]]


class Reference:
    """MiniLM after its papers, one sentence at a time, in double precision."""

    def __init__(self, weights: Weights) -> None:
        self.weights = {name: array.astype(np.float64) for name, array in weights.items()}

    def embed(self, ids: list[int]) -> Floats:
        w = self.weights
        x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.token_type_embeddings.weight"][0]
        x = self.normalise("embeddings.LayerNorm", x + w["embeddings.position_embeddings.weight"][: len(ids)])
        for layer in (f"encoder.layer.{i}" for i in range(6)):
            attended = np.concatenate(list(self.heads(f"{layer}.attention.self", x)), axis=1)
            attended = self.linear(f"{layer}.attention.output.dense", attended)
            x = self.normalise(f"{layer}.attention.output.LayerNorm", x + attended)
            hidden = gelu(self.linear(f"{layer}.intermediate.dense", x))
            x = self.normalise(f"{layer}.output.LayerNorm", x + self.linear(f"{layer}.output.dense", hidden))
        mean: Floats = x.mean(axis=0)
        return mean / np.linalg.norm(mean)

    def heads(self, name: str, x: Floats) -> Iterator[Floats]:
        query, key, value = (self.linear(f"{name}.{part}", x) for part in ("query", "key", "value"))
        for head in range(0, 384, 32):
            part = slice(head, head + 32)
            scores = np.exp(query[:, part] @ key[:, part].T / sqrt(32))
            yield scores / scores.sum(axis=1, keepdims=True) @ value[:, part]

    def linear(self, name: str, x: Floats) -> Floats:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def normalise(self, name: str, x: Floats) -> Floats:
        centred = x - x.mean(axis=1, keepdims=True)
        unit = centred / np.sqrt(centred.var(axis=1, keepdims=True) + 1e-12)
        scaled: Floats = unit * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]
        return scaled


def gelu(x: Floats) -> Floats:
    return np.array([value * (1 + erf(value / sqrt(2))) / 2 for value in x.flat]).reshape(x.shape)


def run(model: onnx.ModelProto, sentences: list[list[int]]) -> Floats:
    length = max(map(len, sentences))
    feed = {
        "input_ids": np.array([ids + [0] * (length - len(ids)) for ids in sentences]),
        "attention_mask": np.array([[1] * len(ids) + [0] * (length - len(ids)) for ids in sentences]),
    }
    (embeddings,) = ort.InferenceSession(model.SerializeToString()).run(["sentence_embedding"], feed)
    return np.asarray(embeddings, np.float64)


@pytest.fixture(scope="module")
def float32(pretrained: Weights) -> onnx.ModelProto:
    return minilm.build(pretrained, Float32())


def test_float32_agrees_with_the_formulas(pretrained: Weights, float32: onnx.ModelProto) -> None:
    reference = Reference(pretrained)
    expected = np.array([reference.embed(ids) for ids in TOKENS])
    np.testing.assert_allclose(run(float32, TOKENS), expected, atol=1e-6)


def test_int8_is_near_the_formulas(pretrained: Weights) -> None:
    reference = Reference(pretrained)
    expected = np.array([reference.embed(ids) for ids in TOKENS[:2]])
    cosines = (run(minilm.build(pretrained, Int8()), TOKENS[:2]) * expected).sum(axis=1)
    assert cosines.min() > 0.99


def test_gelu_is_never_below_the_bound_that_int8_relies_on() -> None:
    lowest = gelu(np.linspace(-10, 10, 20_001)).min()
    assert minilm.GELU_LOWEST < lowest < minilm.GELU_LOWEST + 1e-4


def test_the_model_says_what_it_takes_and_gives(float32: onnx.ModelProto) -> None:
    inferred = onnx.shape_inference.infer_shapes(float32, strict_mode=True).graph
    form = {
        value.name: [dimension.dim_param or dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in (*inferred.input, *inferred.output)
    }
    assert form == {
        "input_ids": ["batch", "length"],
        "attention_mask": ["batch", "length"],
        "sentence_embedding": ["batch", 384],
    }

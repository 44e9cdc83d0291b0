"""all-MiniLM-L6-v2 as an ONNX graph: a BERT of six layers, mean pooling, unit length.

The graph takes ``input_ids`` and ``attention_mask`` (int64, batch x length, both dynamic; 1 marks a token, 0 padding)
and gives ``sentence_embedding`` (float32, batch x 384).
"""

from __future__ import annotations

from math import sqrt

import numpy as np
import onnx
from onnx import TensorProto, helper

from apps.question_search.onnx_graph import Graph, Value
from apps.question_search.precision import Precision
from apps.question_search.weights import Weights

LAYERS = 6
HEADS = 12
WIDTH = 384
EPSILON = 1e-12
GELU_LOWEST = -0.17  # the minimum of x Φ(x) is -0.16997, at x = -0.75
PADDED = -1e4  # added to the attention score of padding: its exponential is 0 in float32


def build(weights: Weights, precision: Precision) -> onnx.ModelProto:
    """The network with its weights in the given number format."""
    return _MiniLM(weights, precision).model()


class _MiniLM:
    def __init__(self, weights: Weights, precision: Precision) -> None:
        self.weights = weights
        self.precision = precision
        self.graph = Graph()

    def model(self) -> onnx.ModelProto:
        node, axes = self.graph.node, self.graph.integers
        ids, mask = "input_ids", "attention_mask"
        tokens = node("Cast", mask, to=TensorProto.FLOAT)
        gaps = node("Sub", self.graph.number(1.0), node("Unsqueeze", tokens, axes(1, 2)))  # batch, 1, 1, length
        penalty = node("Mul", gaps, self.graph.number(PADDED))
        x = self.embed(ids)
        for layer in range(LAYERS):
            x = self.encode(f"encoder.layer.{layer}", x, penalty)
        return self.graph.model(
            "all-MiniLM-L6-v2",
            inputs=[
                helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in (ids, mask)
            ],
            output=self.pool(x, tokens),
            result=helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["batch", WIDTH]),
        )

    def embed(self, ids: Value) -> Value:
        """Each token's word vector plus its position's vector; all tokens are of the first of BERT's two types."""
        node, axes = self.graph.node, self.graph.integers
        words = self.weights["embeddings.word_embeddings.weight"]
        positions = self.weights["embeddings.position_embeddings.weight"]
        positions = positions + self.weights["embeddings.token_type_embeddings.weight"][0]
        length = node("Shape", ids, start=1, end=2)
        position = node("Slice", self.graph.constant("embeddings.positions", positions), axes(0), length, axes(0))
        word = self.precision.lookup(self.graph, "embeddings.words", words, ids)
        return self.normalise("embeddings.LayerNorm", node("Add", word, position))

    def encode(self, layer: str, x: Value, penalty: Value) -> Value:
        """One transformer layer: attention, then a network of two layers, each added to its input and normalised."""
        node = self.graph.node
        attended = self.linear(f"{layer}.attention.output.dense", self.attend(f"{layer}.attention.self", x, penalty))
        x = self.normalise(f"{layer}.attention.output.LayerNorm", node("Add", x, attended))
        hidden = node("Gelu", self.linear(f"{layer}.intermediate.dense", x))
        output = self.linear(f"{layer}.output.dense", hidden, lowest=GELU_LOWEST)
        return self.normalise(f"{layer}.output.LayerNorm", node("Add", x, output))

    def attend(self, name: str, x: Value, penalty: Value) -> Value:
        """Multi-head attention before its output matrix; one matrix makes queries, keys and values of all heads."""
        node, axes = self.graph.node, self.graph.integers
        weight, bias = (
            np.concatenate([self.weights[f"{name}.{part}.{kind}"] for part in ("query", "key", "value")])
            for kind in ("weight", "bias")
        )
        x = self.precision.linear(self.graph, name, x, weight, bias)
        x = node("Reshape", x, axes(0, 0, 3 * HEADS, WIDTH // HEADS))  # 0 keeps a dimension
        x = node("Transpose", x, perm=[0, 2, 1, 3])  # batch, heads, length, width of a head
        query, key, value = self.graph.nodes("Split", x, outputs=3, axis=1, num_outputs=3)
        scores = node("MatMul", query, node("Transpose", key, perm=[0, 1, 3, 2]))
        scores = node("Mul", scores, self.graph.number(1 / sqrt(WIDTH // HEADS)))
        shares = node("Softmax", node("Add", scores, penalty), axis=-1)
        mixed = node("Transpose", node("MatMul", shares, value), perm=[0, 2, 1, 3])
        return node("Reshape", mixed, axes(0, 0, WIDTH))

    def pool(self, x: Value, tokens: Value) -> Value:
        """The sum over a sentence's tokens, at unit length: the mean's divisor would cancel."""
        node, axes = self.graph.node, self.graph.integers
        summed = node("ReduceSum", node("Mul", x, node("Unsqueeze", tokens, axes(-1))), axes(1), keepdims=0)
        return node("Div", summed, node("ReduceL2", summed, axes(-1), keepdims=1))

    def linear(self, name: str, x: Value, lowest: float | None = None) -> Value:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return self.precision.linear(self.graph, name, x, weight, bias, lowest)

    def normalise(self, name: str, x: Value) -> Value:
        scale, shift = (
            self.graph.constant(f"{name}.{kind}", self.weights[f"{name}.{kind}"]) for kind in ("weight", "bias")
        )
        return self.graph.node("LayerNormalization", x, scale, shift, axis=-1, epsilon=EPSILON)

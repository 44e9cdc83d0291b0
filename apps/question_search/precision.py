"""The two number formats of the encoder: how it multiplies by a weight matrix, and how it looks up a table.

``Int8`` follows one idea: every row has a scale of its own. A weight matrix is quantised once, per output channel; an
activation while running, per token. The usual dynamic quantisation (``DynamicQuantizeLinear``) has one scale for a
whole batch instead. That is coarser, and lets a sentence's embedding depend on the sentences that happen to share its
batch: a sentence's cosine to itself among other neighbours fell to 0.984. Here it is 1, at the same cost.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from apps.question_search.onnx_graph import Graph, Value

Float32s = NDArray[np.float32]


class Precision(Protocol):
    """The operations of a transformer that read large constants."""

    def lookup(self, graph: Graph, name: str, table: Float32s, rows: Value) -> Value:
        """The rows of ``table`` (n x d) with the given numbers."""
        ...

    def linear(
        self, graph: Graph, name: str, x: Value, weight: Float32s, bias: Float32s, lowest: float | None = None
    ) -> Value:
        """``x @ weight.T + bias`` for a weight of outputs x inputs.

        ``lowest`` promises that no value of ``x`` is below it; a format may spend its codes better for knowing.
        """
        ...


class Float32:
    """As trained."""

    def lookup(self, graph: Graph, name: str, table: Float32s, rows: Value) -> Value:
        return graph.node("Gather", graph.constant(name, table), rows)

    def linear(
        self, graph: Graph, name: str, x: Value, weight: Float32s, bias: Float32s, lowest: float | None = None
    ) -> Value:
        product = graph.node("MatMul", x, graph.constant(f"{name}.weight", weight.T))
        return graph.node("Add", product, graph.constant(f"{name}.bias", bias))


class Int8:
    """Weights and activations in 8 bits, sums in 32, scales in float32; standard ONNX operators only."""

    def lookup(self, graph: Graph, name: str, table: Float32s, rows: Value) -> Value:
        codes, scales = quantise_rows(table)
        chosen = graph.node("Gather", graph.constant(f"{name}.codes", codes), rows)
        scale = graph.node("Gather", graph.constant(f"{name}.scales", scales), rows)
        return graph.node("Mul", graph.node("Cast", chosen, to=TensorProto.FLOAT), scale)

    def linear(
        self, graph: Graph, name: str, x: Value, weight: Float32s, bias: Float32s, lowest: float | None = None
    ) -> Value:
        codes, scales = quantise_rows(weight)
        if lowest is None:
            # Codes 1 to 255 around 128: unsigned, because processors multiply unsigned by signed bytes fastest.
            x_codes, x_scale, zero = self._quantise(graph, x, peaks_of=graph.node("Abs", x), steps=127, zero_code=128)
        else:
            # Codes 0 to 255, twice as fine: x @ W + b = (x - lowest) @ W + (b + lowest * the column sums of W).
            bias = bias + np.float32(lowest) * (codes * scales).sum(axis=1)
            x = graph.node("Sub", x, graph.number(lowest))
            x_codes, x_scale, zero = self._quantise(graph, x, peaks_of=x, steps=255, zero_code=0)
        sums = graph.node("MatMulInteger", x_codes, graph.constant(f"{name}.codes", codes.T), zero)
        product = graph.node("Mul", graph.node("Cast", sums, to=TensorProto.FLOAT), x_scale)
        product = graph.node("Mul", product, graph.constant(f"{name}.scales", scales.T))
        return graph.node("Add", product, graph.constant(f"{name}.bias", bias))

    def _quantise(
        self, graph: Graph, x: Value, *, peaks_of: Value, steps: int, zero_code: int
    ) -> tuple[Value, Value, Value]:
        """Each token's codes, its scale, the code of 0. No token is all 0: ``x`` comes from a layer with a bias."""
        peak = graph.node("ReduceMax", peaks_of, graph.integers(-1), keepdims=1)
        scale = graph.node("Mul", peak, graph.number(1 / steps))
        zero = graph.number(zero_code, np.uint8)
        return graph.node("QuantizeLinear", graph.node("Div", x, scale), graph.number(1.0), zero), scale, zero


def quantise_rows(array: Float32s) -> tuple[NDArray[np.int8], Float32s]:
    """``codes`` (int8, as ``array``) and ``scales`` (float32, n x 1) with ``codes * scales ≈ array``."""
    peaks = np.abs(array).max(axis=1, keepdims=True)
    scales = np.maximum(peaks / np.float32(127), np.finfo(np.float32).smallest_normal)  # a row of zeros has one too
    return np.rint(array / scales).astype(np.int8), scales

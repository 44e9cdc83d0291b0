from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from onnx import TensorProto, helper

from apps.question_search.onnx_graph import Graph
from apps.question_search.precision import Float32, Int8, Precision, quantise_rows

Floats = NDArray[np.float32]

RNG = np.random.default_rng(0)
WEIGHT = RNG.normal(size=(24, 64)).astype(np.float32) * RNG.uniform(0.01, 10, size=(24, 1)).astype(np.float32)
BIAS = RNG.normal(size=24).astype(np.float32)
X = RNG.normal(size=(2, 5, 64)).astype(np.float32)
EXACT = X.astype(np.float64) @ WEIGHT.T + BIAS


def linear(precision: Precision, x: Floats, lowest: float | None = None) -> Floats:
    graph = Graph()
    info = helper.make_tensor_value_info
    model = graph.model(
        "linear",
        [info("x", TensorProto.FLOAT, ["batch", "length", 64])],
        precision.linear(graph, "layer", "x", WEIGHT, BIAS, lowest),
        info("y", TensorProto.FLOAT, ["batch", "length", 24]),
    )
    (y,) = ort.InferenceSession(model.SerializeToString()).run(["y"], {"x": x})
    return np.asarray(y, np.float32)


def relative_error(y: Floats, exact: NDArray[np.float64]) -> float:
    """The largest error over all columns, each measured by the column's own size."""
    return float((np.abs(y - exact).max(axis=(0, 1)) / exact.std(axis=(0, 1))).max())


@given(arrays(np.float32, array_shapes(min_dims=2, max_dims=2), elements=st.floats(-1e6, 1e6, width=32)))
@example(np.array([[0], [6.98e-42]], np.float32))  # too small for a scale with all its digits
def test_codes_and_scales_stand_for_the_rows_to_half_a_step(rows: Floats) -> None:
    codes, scales = quantise_rows(rows)
    assert codes.dtype == np.int8
    assert codes.min() >= -127
    assert (np.abs(codes * scales.astype(np.float64) - rows) <= scales * 0.5001).all()


def test_float32_is_exact_to_rounding() -> None:
    assert relative_error(linear(Float32(), X), EXACT) < 1e-6


def test_int8_is_near_whatever_the_scale_of_a_row_or_a_column() -> None:
    assert relative_error(linear(Int8(), X), EXACT) < 0.03
    scale = np.array([1e-3, 1, 1e3, 1e-2, 1e2], np.float32)[:, None]
    exact = (X * scale).astype(np.float64) @ WEIGHT.T + BIAS
    rows = np.abs(linear(Int8(), X * scale) - exact) / (np.abs(exact - BIAS).max(axis=-1, keepdims=True))
    assert rows.max() < 0.03


def test_knowing_the_lowest_value_halves_the_error_of_the_activations() -> None:
    x = np.maximum(X, -0.17)  # like the values after Gelu
    codes, scales = quantise_rows(WEIGHT)
    exact = x.astype(np.float64) @ (codes * scales).T + BIAS  # without the error of the weights
    rough = np.abs(linear(Int8(), x) - exact).mean()
    fine = np.abs(linear(Int8(), x, lowest=-0.17) - exact).mean()
    assert fine < 0.6 * rough


@pytest.mark.parametrize("lowest", [None, -0.17])
def test_a_token_is_computed_alone(lowest: float | None) -> None:
    x = np.maximum(X, -0.17)
    together = linear(Int8(), x, lowest)
    loud = x.copy()
    loud[1] *= 1000
    assert (linear(Int8(), np.maximum(loud, -0.17), lowest)[0] == together[0]).all()
    assert (linear(Int8(), x[1:, 3:4], lowest)[0, 0] == together[1, 3]).all()


@pytest.mark.parametrize(("precision", "tolerance"), [(Float32(), 0.0), (Int8(), 0.005)])
def test_rows_are_looked_up(precision: Precision, tolerance: float) -> None:
    graph = Graph()
    info = helper.make_tensor_value_info
    model = graph.model(
        "lookup",
        [info("rows", TensorProto.INT64, ["batch", "length"])],
        precision.lookup(graph, "table", WEIGHT, "rows"),
        info("y", TensorProto.FLOAT, ["batch", "length", 64]),
    )
    rows = np.array([[3, 0, 3], [23, 1, 2]])
    (y,) = ort.InferenceSession(model.SerializeToString()).run(["y"], {"rows": rows})
    assert (np.abs(np.asarray(y) - WEIGHT[rows]) <= tolerance * np.abs(WEIGHT).max(axis=1)[rows][..., None]).all()

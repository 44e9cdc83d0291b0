from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from apps.question_search.onnx_graph import Graph


def vector(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"])


def test_a_formula_becomes_a_model_that_computes_it() -> None:
    graph = Graph()
    doubled = graph.node("Mul", "x", graph.number(2.0))
    model = graph.model("formula", [vector("x")], graph.node("Add", doubled, graph.number(1.0)), vector("y"))
    (y,) = ReferenceEvaluator(model).run(["y"], {"x": np.array([1, 2], np.float32)})
    np.testing.assert_array_equal(np.asarray(y), [3, 5])


def test_equal_constants_are_stored_once() -> None:
    graph = Graph()
    x = graph.node("Add", graph.node("Mul", "x", graph.number(2.0)), graph.number(2.0))
    assert len(graph.model("twice", [vector("x")], x, vector("y")).graph.initializer) == 1
    assert graph.integers(2) != graph.number(2, np.int64)  # a list of one is not a scalar


def test_a_node_has_as_many_outputs_as_asked_for() -> None:
    graph = Graph()
    halves = graph.nodes("Split", "x", outputs=2, num_outputs=2)
    model = graph.model("halves", [vector("x")], graph.node("Sub", *halves), vector("y"))
    (y,) = ReferenceEvaluator(model).run(["y"], {"x": np.array([5, 7, 1, 2], np.float32)})
    np.testing.assert_array_equal(np.asarray(y), [4, 5])


def test_an_edge_that_nothing_makes_is_refused() -> None:
    graph = Graph()
    with pytest.raises(onnx.checker.ValidationError, match="nowhere"):
        graph.model("broken", [vector("x")], graph.node("Neg", "nowhere"), vector("y"))

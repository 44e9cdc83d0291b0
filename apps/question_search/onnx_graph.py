"""A thin layer over ``onnx.helper`` in which a network is written down like its formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, helper, numpy_helper

# The oldest pair that has LayerNormalization and Gelu: any runtime of the last years reads the file.
OPSET = 20
IR_VERSION = 9

Value = str  # an edge of the graph, by its name


class Graph:
    """Nodes in the order of their computation, and the constants they read."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, TensorProto] = {}

    def constant(self, name: str, array: NDArray[Any]) -> Value:
        """A named array. Asking for one name twice gives one constant."""
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def number(self, value: ArrayLike, dtype: type[np.generic] = np.float32) -> Value:
        """A small constant named by its value."""
        array = np.array(value, dtype)
        return self.constant(f"{array.dtype}:{array.tolist()}", array)

    def integers(self, *values: int) -> Value:
        """Axes, or a shape."""
        return self.number(values, np.int64)

    def node(self, operator: str, *inputs: Value, **attributes: Any) -> Value:
        """Append a node with one output, and return that."""
        (output,) = self.nodes(operator, *inputs, outputs=1, **attributes)
        return output

    def nodes(self, operator: str, *inputs: Value, outputs: int, **attributes: Any) -> list[Value]:
        """Append a node with several outputs, and return them."""
        name = f"{operator}.{len(self._nodes)}"
        values = [f"{name}:{i}" for i in range(outputs)]
        self._nodes.append(helper.make_node(operator, inputs, values, name=name, **attributes))
        return values

    def model(
        self, name: str, inputs: list[onnx.ValueInfoProto], output: Value, result: onnx.ValueInfoProto
    ) -> onnx.ModelProto:
        """The finished, checked model; it gives ``output`` under the name in ``result``."""
        self._nodes.append(helper.make_node("Identity", [output], [result.name], name=result.name))
        graph = helper.make_graph(self._nodes, name, inputs, [result], list(self._constants.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        onnx.checker.check_model(model)
        return model

"""The learned network as ONNX, in standard operators, with each normalisation folded into the convolution before it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from apps.image_pipeline.training.network import SCALE, Network

OPSET = 20  # the first with Gelu
IR = 9
INPUT, OUTPUT = "pictures", "probabilities"


def to_onnx(network: Network) -> onnx.ModelProto:
    """A model from ``pictures`` (float32, n x 3 x 32 x 32, normalised) to ``probabilities`` (float32, n x labels)."""
    graph = _Graph()
    x = graph.gelu(graph.convolve(INPUT, "whiten", network.whiten, None))
    for number, block in enumerate(network.blocks):
        assert isinstance(block.first, nn.Conv2d)
        # The maximum of values that are scaled and moved by the same amounts is that of the values, scaled and moved,
        # unless a scale is negative: so the normalisation stays behind the pooling, as it was learned.
        x = graph.node(
            "MaxPool", graph.convolve(x, f"{number}.first", block.first, None), kernel_shape=[2, 2], strides=[2, 2]
        )
        x = graph.gelu(graph.normalise(x, f"{number}.first_norm", block.first_norm))
        x = graph.gelu(graph.convolve(x, f"{number}.second", block.second, block.second_norm))
    x = graph.node("Flatten", graph.node("GlobalMaxPool", x))
    weight = graph.constant("head", _array(network.head.weight).T * np.float32(SCALE))
    graph.node("Softmax", graph.node("MatMul", x, weight), output=OUTPUT, axis=-1)
    labels = network.head.out_features
    model = helper.make_model(
        helper.make_graph(
            graph.nodes, "cifar10",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", 3, 32, 32])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", labels])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR, producer_name="kapelle",
    )  # fmt: skip
    onnx.checker.check_model(model, full_check=True)
    return model


class _Graph:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        name = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, name: str, value: NDArray[np.float32]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
        return name

    def gelu(self, x: str) -> str:
        return self.node("Gelu", x)

    def convolve(self, x: str, name: str, layer: nn.Conv2d, norm: nn.BatchNorm2d | None) -> str:
        weight = _array(layer.weight)
        bias = np.zeros(len(weight), np.float32) if layer.bias is None else _array(layer.bias)
        if norm is not None:
            scale, shift = _affine(norm)
            weight, bias = weight * scale[:, None, None, None], bias * scale + shift
        pads = [layer.padding[0]] * 4 if isinstance(layer.padding, tuple) else [0] * 4
        return self.node(
            "Conv", x, self.constant(f"{name}.weight", weight), self.constant(f"{name}.bias", bias), pads=pads
        )

    def normalise(self, x: str, name: str, norm: nn.BatchNorm2d) -> str:
        scale, shift = (values[None, :, None, None] for values in _affine(norm))
        scaled = self.node("Mul", x, self.constant(f"{name}.scale", scale))
        return self.node("Add", scaled, self.constant(f"{name}.shift", shift))


def _affine(norm: nn.BatchNorm2d) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = _array(norm.weight) / np.sqrt(_array(norm.running_var) + np.float32(norm.eps))
    return scale, _array(norm.bias) - _array(norm.running_mean) * scale


def _array(values: Tensor) -> NDArray[np.float32]:
    return values.detach().cpu().numpy().astype(np.float32)

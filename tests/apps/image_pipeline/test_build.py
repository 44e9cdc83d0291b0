"""The artifact is written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from apps.image_pipeline import build


def test_the_shipped_model_is_small_and_built_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build.SHIPPED.stat().st_size <= 4 << 20
    assert build.main(["--out", str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in (tmp_path / "out" / "classifier").iterdir()) == [
        "golden.json",
        "labels.json",
        "model.onnx",
    ]
    assert "10 labels" in capsys.readouterr().out


def test_building_twice_gives_the_same_files(artifacts: Path, tmp_path: Path) -> None:
    build.build(build.SHIPPED, tmp_path / "again")
    for name in ("golden.json", "labels.json", "model.onnx"):
        assert (tmp_path / "again" / "classifier" / name).read_bytes() == (artifacts / "classifier" / name).read_bytes()


def logits(folder: Path) -> Path:
    """A model whose outputs are no probabilities."""
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("MatMul", ["f", "w"], ["y"])],
        "m",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])],
        [onnx.numpy_helper.from_array(np.ones((3 * 32 * 32, 10), np.float32), "w")],
    )
    path = folder / "logits.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), path)
    return path


def test_what_is_there_stays_when_a_model_is_no_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    build.build(build.SHIPPED, out)
    before = (out / "classifier" / "model.onnx").read_bytes()
    for model, said in ((tmp_path / "none.onnx", "no such file"), (logits(tmp_path), "no probabilities")):
        assert build.main(["--model", str(model), "--out", str(out)]) == 2
        assert said in capsys.readouterr().err
        assert (out / "classifier" / "model.onnx").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []

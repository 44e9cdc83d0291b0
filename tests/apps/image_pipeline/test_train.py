"""The training, on a handful of pictures: what it takes, what it writes, and what it says of bad data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="PyTorch is for training only, and is not installed")

from apps.image_pipeline import build, train
from apps.image_pipeline.labels import NAMES


def a_dataset(folder: Path, each: int = 50) -> Path:
    """Pictures of one colour for each label."""
    for part in ("train", "test"):
        for number, name in enumerate(NAMES):
            target = folder / part / name
            target.mkdir(parents=True)
            for count in range(each):
                values = np.random.default_rng(count).normal(25 * number, 5, (32, 32, 3)).clip(0, 255)
                Image.fromarray(values.astype(np.uint8)).save(target / f"{count}.jpg")
    return folder


def test_a_model_is_learned_written_and_can_be_served(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "model.onnx"
    assert train.main(["--data", str(a_dataset(tmp_path / "data")), "--epochs", "2", "--out", str(model)]) == 0
    said = capsys.readouterr().out
    assert "accuracy" in said
    assert "what it was taken for" in said
    build.build(model, tmp_path / "artifacts")


def test_data_that_are_none_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_bytes(b"no archive")
    for path in (tmp_path / "absent", tmp_path / "file", tmp_path):
        assert train.main(["--data", str(path)]) == 2
        assert str(path) in capsys.readouterr().err

"""The model that is shipped, and models that are not what they should be."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from apps.image_pipeline.classifier import MODEL, Classifier
from apps.image_pipeline.errors import ModelError
from apps.image_pipeline.images import decode, prepare
from apps.image_pipeline.labels import FILE, NAMES
from tests.apps.image_pipeline.conftest import DATA

SAMPLES = 50  # test pictures of each label


def test_it_gives_probabilities_whatever_the_batch(artifacts: Path) -> None:
    classifier = Classifier(artifacts / "classifier")
    pictures = np.random.default_rng(0).normal(size=(5, 3, 32, 32)).astype(np.float32)
    together = classifier.probabilities(pictures)
    assert together.shape == (5, 10)
    assert np.allclose(together.sum(axis=1), 1, atol=1e-5)
    alone = np.concatenate([classifier.probabilities(one[np.newaxis]) for one in pictures])
    assert np.allclose(together, alone, atol=1e-5)


@pytest.mark.skipif(not DATA.exists(), reason="CIFAR-10 is not on this machine")
def test_it_knows_pictures_that_it_has_not_learned_from(artifacts: Path) -> None:
    pictures: dict[str, list[np.ndarray]] = {name: [] for name in NAMES}
    with tarfile.open(DATA) as archive:
        for member in archive:
            parts = Path(member.name).parts
            if len(parts) < 3 or parts[-3] != "test" or len(pictures.get(parts[-2], [0] * SAMPLES)) >= SAMPLES:
                continue
            content = archive.extractfile(member)
            assert content is not None
            pictures[parts[-2]].append(prepare(decode(content.read())))
    classifier = Classifier(artifacts / "classifier")
    right = 0
    for number, found in enumerate(pictures.values()):
        right += int((classifier.probabilities(np.stack(found)).argmax(1) == number).sum())
    # 86.7 % of all 10,000; of 500 of them within three standard deviations.
    assert right / (SAMPLES * len(NAMES)) > 0.82


def a_model(side: int, labels: int) -> bytes:
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("MatMul", ["f", "w"], ["y"])],
        "m",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, side, side])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", labels])],
        [onnx.numpy_helper.from_array(np.zeros((3 * side * side, labels), np.float32), "w")],
    )
    file = io.BytesIO()
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (None, "can run"),
        (b"garbage", "can run"),
        (b"", "can run"),
        (a_model(64, 10), "expected n x 3 x 32 x 32"),
        (a_model(32, 9), "n x 10"),
    ],
    ids=["absent", "garbage", "empty", "larger pictures", "fewer labels"],
)
def test_models_that_are_not_what_they_should_be(
    artifacts: Path, tmp_path: Path, model: bytes | None, said: str
) -> None:
    shutil.copy(artifacts / "classifier" / FILE, tmp_path)
    if model is not None:
        (tmp_path / MODEL).write_bytes(model)
    with pytest.raises(ModelError, match=said):
        Classifier(tmp_path)


def test_labels_decide_how_many_outputs_there_are(artifacts: Path, tmp_path: Path) -> None:
    shutil.copy(artifacts / "classifier" / MODEL, tmp_path)
    (tmp_path / FILE).write_text(json.dumps(["one", "two"]))
    with pytest.raises(ModelError, match="n x 2"):
        Classifier(tmp_path)

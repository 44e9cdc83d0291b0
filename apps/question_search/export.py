"""From the pretrained weights to an encoder's folder, and how true one encoder is to another."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from apps.question_search import minilm, weights
from apps.question_search.encoder import MODEL, TOKENIZER, Encoder
from apps.question_search.errors import ModelError
from apps.question_search.precision import Precision

LOWEST_MEAN_COSINE = 0.95  # below this something is broken; 0.998 is usual


@dataclass(frozen=True)
class Fidelity:
    """The cosines between the embeddings of two encoders over the same sentences."""

    sentences: int
    mean: float
    lowest: float


def export(folder: Path, precision: Precision) -> None:
    """Write an encoder that ``Encoder`` loads.

    Raises:
        ModelError: the pretrained weights are not installed, or not those we know.
    """
    pretrained = weights.find()
    model = minilm.build(weights.load(pretrained.weights), precision)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL).write_bytes(model.SerializeToString(deterministic=True))
    shutil.copyfile(pretrained.tokenizer, folder / TOKENIZER)


def compare(copy: Encoder, original: Encoder, sentences: Sequence[str]) -> Fidelity:
    """How near the copy's embeddings are to the original's.

    Raises:
        ModelError: so far away that the copy must not be used.
    """
    cosines = (copy.embed(sentences) * original.embed(sentences)).sum(axis=1)
    fidelity = Fidelity(len(sentences), float(cosines.mean()), float(cosines.min()))
    if not fidelity.mean >= LOWEST_MEAN_COSINE:  # NaN is not either
        raise ModelError(
            f"the quantised encoder's mean cosine to the original is {fidelity.mean:.4f}, expected at least "
            f"{LOWEST_MEAN_COSINE}: ONNX Runtime computes wrongly on this processor; try another version of it"
        )
    return fidelity

"""Make the artifact that the application serves from: the classifier that is shipped, or one of your own.

python -m apps.image_pipeline.build
kapelle release build apps/image_pipeline --model retrained.onnx
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from apps.folders import replacing
from apps.image_pipeline.classifier import MODEL, Classifier
from apps.image_pipeline.errors import ModelError, PipelineError
from apps.image_pipeline.golden import Golden, sample_picture, write_golden
from apps.image_pipeline.images import decode, prepare
from apps.image_pipeline.labels import FILE, NAMES

HERE = Path(__file__).resolve().parent
SHIPPED = HERE / "shipped" / MODEL
ARTIFACT = "classifier"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 when the artifact is there, 2 when the model is at fault."""
    given = _parse(arguments)
    try:
        build(given.model, given.out)
    except (PipelineError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def build(model: Path, out: Path) -> None:
    """Copy a model to ``out/classifier`` beside its labels, and try it.

    Raises:
        ModelError: it cannot be run, or does not turn pictures into probabilities.
    """
    if not model.is_file():
        raise ModelError(
            f"{model}: no such file; expected an ONNX model, as `python -m apps.image_pipeline.train` writes"
        )
    with replacing(out) as fresh:
        artifact = fresh / ARTIFACT
        artifact.mkdir()
        shutil.copyfile(model, artifact / MODEL)
        (artifact / FILE).write_text(json.dumps(NAMES) + "\n")
        sample = sample_picture()
        (found,) = Classifier(artifact).probabilities(prepare(decode(sample))[np.newaxis])
        if not np.isclose(found.sum(), 1, atol=1e-3) or found.min() < 0:
            raise ModelError(f"{model}: its outputs are no probabilities: they are to be positive, with a sum of 1")
        write_golden(artifact, Golden(sample, int(found.argmax()), float(found.max())))
    print(f"{model.name}: {model.stat().st_size / 2**20:.1f} MiB, {len(NAMES)} labels, in {out / ARTIFACT}")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m apps.image_pipeline.build",
        description="Make the artifact that the application serves from.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--model", type=Path, default=SHIPPED, metavar="FILE",
        help="an ONNX model of pictures to probabilities (default: the one that is shipped)",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, default=HERE / "artifacts", metavar="FOLDER", help="where to write (default: artifacts/)"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())

"""A picture with a known answer, by which a release is tried before it gets traffic."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from apps.image_pipeline.errors import ModelError

FILE = "golden.json"
SAMPLE = (96, 128)  # height and width of the picture


@dataclass(frozen=True)
class Golden:
    """A file of a picture, and what the model was seen to answer when it was built: the likeliest label, and how likely."""

    picture: bytes
    index: int
    probability: float


def sample_picture() -> bytes:
    """A PNG of a dark shape under a bright sky: the same on every machine."""
    from PIL import Image  # noqa: PLC0415 - reading a golden picture does without Pillow

    height, width = SAMPLE
    y, x = np.mgrid[:height, :width]
    picture = np.stack([90 + y, 140 + y // 2, 255 - y // 2], axis=-1)
    picture[(np.abs(y - 48) < 6) | ((np.abs(x - 64) < 8) & (np.abs(y - 48) < 30))] = (60, 60, 70)
    file = io.BytesIO()
    Image.fromarray(picture.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def write_golden(artifact: Path, golden: Golden) -> None:
    """Write it beside the model."""
    said = {
        "picture": base64.b64encode(golden.picture).decode("ascii"),
        "index": golden.index,
        "probability": golden.probability,
    }
    (artifact / FILE).write_text(json.dumps(said) + "\n")


def read_golden(artifact: Path) -> Golden:
    """The one of an artifact.

    Raises:
        ModelError: the file is missing or holds something else.
    """
    path = artifact / FILE
    try:
        said = json.loads(path.read_bytes())
        return Golden(base64.b64decode(said["picture"]), int(said["index"]), float(said["probability"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: {error!r}; build it with: python -m apps.image_pipeline.build") from error

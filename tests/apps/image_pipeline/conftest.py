"""Pictures made on the spot, and the artifact that is built from the model that is shipped."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from apps.image_pipeline import build

DATA = Path(__file__).parents[4] / "shared" / "data" / "cifar10-jpg.tar.xz"


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of artifacts, as ``make run`` builds it."""
    folder = tmp_path_factory.mktemp("built") / "artifacts"
    build.build(build.SHIPPED, folder)
    return folder


def noise(height: int = 60, width: int = 90, seed: int = 0) -> Image.Image:
    """A picture in colour, of nothing."""
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def saved(picture: Image.Image, format: str, **options: Any) -> bytes:
    """The picture as a file."""
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()

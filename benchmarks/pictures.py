"""The pictures and tensors that the picture scenarios send, each with a right answer of its own.

A picture is coarse colours with grain over them and one bright band; which band is the answer. All of it is drawn with
fixed seeds, so everybody who runs the benchmarks sends the same.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from PIL import Image

from dialogue import Dialogue, Exchange

# Three inputs with three different answers: a server that mixes up its callers is caught.
BRIGHT_BANDS: Sequence[int] = (2, 5, 8)
BANDS = 10
JPEG_SIZE = (512, 384)
TENSOR_SHAPE = (3, 224, 224)
BINARY = "application/octet-stream"

_PATCH = 40
"""Pixels between two of the coarse colours."""
_GRAIN = 7
"""Deviation of the noise; without it a picture of this size would be a JPEG of 8 KB instead of about 30 KB."""


def jpeg(bright: int) -> bytes:
    """A picture with one bright band, about 30 KB."""
    random = np.random.default_rng(bright)
    width, height = JPEG_SIZE
    coarse = random.integers(40, 140, (height // _PATCH, width // _PATCH, 3), dtype=np.uint8)
    colours = np.asarray(Image.fromarray(coarse).resize(JPEG_SIZE, Image.Resampling.BICUBIC))
    pixels = colours + random.normal(0, _GRAIN, (height, width, 1))
    pixels[:, bright * width // BANDS : (bright + 1) * width // BANDS] += 100
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=75)
    return file.getvalue()


def tensor(bright: int) -> bytes:
    """The 602,112 bytes of a float32 tensor with one bright band."""
    values = np.random.default_rng(bright).standard_normal(TENSOR_SHAPE, np.float32)
    width = TENSOR_SHAPE[2]
    values[:, :, bright * width // BANDS : (bright + 1) * width // BANDS] += 1
    return values.tobytes()


# The picture scenarios, and what makes a body there that has a bright band.
PICTURES: Mapping[str, Callable[[int], bytes]] = {"pipeline": jpeg, "relay": tensor}


def ask_for_bands(
    scenario: str,
    path: str = "/predict",
    *,
    at: tuple[str | int, ...] = ("band",),
    wrap: Callable[[bytes], bytes] = bytes,
    content_type: str = BINARY,
    headers: str = "",
) -> Dialogue:
    """The scenario's inputs, answered by `{"band": 5}`; ``wrap`` puts them into what a server takes instead of bytes."""
    exchanges = [Exchange(wrap(PICTURES[scenario](bright)), at, bright) for bright in BRIGHT_BANDS]
    return Dialogue(path, exchanges, content_type, headers)

"""The model of the picture scenarios: which of ten vertical bands of a picture is the brightest.

It is cheap, so that what is measured is the way to it, and reads every number of its input, so that an answer tells
whether all of it arrived. Every server imports this file, so that the servers differ in nothing but themselves.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 224
BANDS = 10
SHAPE = (3, SIDE, SIDE)
TENSOR_BYTES = 3 * SIDE * SIDE * 4

# The means and deviations of ImageNet's channels, as one product and one sum from bytes to normalised numbers.
_MEAN = np.array([0.485, 0.456, 0.406], np.float32).reshape(3, 1, 1)
_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32).reshape(3, 1, 1)
_SCALE = 1 / (255 * _DEVIATION)
_OFFSET = -_MEAN / _DEVIATION

_BAND_OF_COLUMN = np.arange(SIDE) * BANDS // SIDE
_WEIGHTS = np.equal.outer(_BAND_OF_COLUMN, np.arange(BANDS)).astype(np.float32)
_WEIGHTS /= _WEIGHTS.sum(axis=0)


def preprocess(jpeg: bytes) -> NDArray[np.float32]:
    """Decode, resize, normalise: a JPEG to a (3, 224, 224) tensor."""
    picture = Image.open(io.BytesIO(jpeg)).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    tensor = np.empty(SHAPE, np.float32)
    np.multiply(np.asarray(picture).transpose(2, 0, 1), _SCALE, out=tensor)
    tensor += _OFFSET
    return tensor


def tensor_from(data: bytes | bytearray | memoryview) -> NDArray[np.float32]:
    """The bytes of a tensor as an array, without a copy."""
    return np.frombuffer(data, np.float32).reshape(SHAPE)


def infer(tensor: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean brightness of each band."""
    scores: NDArray[np.float32] = tensor.reshape(-1, SIDE).mean(axis=0) @ _WEIGHTS
    return scores


def postprocess(scores: NDArray[np.float32]) -> int:
    """The brightest band."""
    return int(scores.argmax())

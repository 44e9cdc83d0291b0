"""What goes through the ways: bytes in a pattern, and a sum that says whether they arrived."""

from __future__ import annotations

from functools import lru_cache
from typing import cast

import numpy as np

from kapelle.types.arrays import Array

_PAGE = 4096
_PERIOD = 251  # a prime: no two pages look the same


@lru_cache(maxsize=16)
def payload(size: int) -> Array:
    """``size`` bytes, always the same ones: no stage spends time on making them."""
    pattern = np.resize(np.arange(_PERIOD, dtype=np.uint8), size)
    pattern.setflags(write=False)
    return pattern


def received(data: bytes | Array) -> int:
    """A sum over one byte of each page.

    Every stage forms it of what it gets, so that no way may deliver memory that nobody has touched.
    """
    return int(np.frombuffer(cast(bytes, data), np.uint8)[::_PAGE].sum(dtype=np.int64))

"""Which requests see the release at the side of the current one."""

from __future__ import annotations

from math import sqrt
from zlib import crc32

_STRIDE = (sqrt(5) - 1) / 2


def falls_aside(share: float, number: int, key: bytes) -> bool:
    """Whether a request is one of the ``share`` (0 to 1).

    All requests of the same ``key`` fall alike, in every gateway. Those without one are told by their ``number`` in a
    row: of any stretch of it, close to ``share`` fall aside (an additive recurrence by the golden ratio).
    """
    position = crc32(key) / 2**32 if key else number * _STRIDE % 1.0
    return position < share

"""Time, in one place: everything that decides takes ``now`` as an argument; only the shells read a clock.

Durations are seconds (``float``) everywhere; people write them as ``"2ms"``, ``"1.5s"``, ``"5m"``.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable

from kapelle.errors import ConfigError

Clock = Callable[[], float]
monotonic: Clock = time.monotonic
wall: Clock = time.time

_BEGINNING = time.time() - time.monotonic()


def steady() -> float:
    """What ``wall`` said when this process began, and the time since: whatever the clock is set to, it goes on evenly."""
    return _BEGINNING + monotonic()


_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(us|ms|s|m|h)\s*")
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(value: str | float) -> float:
    """``"250ms"`` → 0.25. A bare number is taken as seconds.

    Raises:
        ConfigError: when ``value`` is neither.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value < 0 or not math.isfinite(value):
            raise ConfigError(f"a duration cannot be {value!r}; expected 0 or more seconds")
        return float(value)
    found = _DURATION.fullmatch(str(value))
    if found is None:
        raise ConfigError(f"{value!r} is not a duration; expected a number and one of us, ms, s, m, h, as in '250ms'")
    return float(found[1]) * _UNITS[found[2]]

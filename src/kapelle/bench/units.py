"""Sizes, times and rates as people write and read them."""

from __future__ import annotations

from kapelle.declare.services import parse_bytes
from kapelle.errors import ConfigError, DeclarationError

LARGEST = 100_000_000
"""Bytes of a payload at most: eight of them at once are still far from what a machine has."""


def parse_sizes(text: str) -> list[int]:
    """``"1KB,1MB"`` → the sizes in bytes, smallest first.

    Raises:
        ConfigError: one of them is none, or too large.
    """
    try:
        sizes = sorted({parse_bytes(part) for part in text.split(",")})
    except DeclarationError as error:
        raise ConfigError(f"--sizes {text}: {error.detail}") from None
    if sizes[-1] > LARGEST:
        raise ConfigError(f"--sizes {text}: {size_text(sizes[-1])} is too large; expected {size_text(LARGEST)} at most")
    return sizes


def size_text(size: int) -> str:
    """``"1 KB"``, ``"1.5 MB"``, ``"532 B"``: the units of disks and networks, a thousand each."""
    for unit, name in ((10**6, "MB"), (10**3, "KB")):
        if size >= unit:
            return f"{_short(size / unit)} {name}"
    return f"{size} B"


def time_text(seconds: float) -> str:
    """``"85 µs"``, ``"1.23 ms"``, ``"2.1 s"``: three digits, as many as mean something."""
    for unit, name in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= 0.9995 * unit:
            number = seconds / unit
            digits = 2 if number < 9.995 else 1 if number < 99.95 else 0
            return f"{number:.{digits}f} {name}"
    return f"{_short(seconds / 1e-6)} µs"


def cost_text(seconds: float | None) -> str:
    """CPU time, where it could be had."""
    return "-" if seconds is None else time_text(seconds)


def rate_text(rate: float) -> str:
    """``"12,300"``, ``"85"``, ``"3.2"`` per second."""
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"


def percent(share: float) -> str:
    """``"17 %"``, ``"0.4 %"``."""
    return f"{100 * share:.0f} %" if share >= 0.095 else f"{100 * share:.2g} %"


def _short(number: float) -> str:
    return f"{number:.0f}" if number >= 10 or number == int(number) else f"{number:.1f}"

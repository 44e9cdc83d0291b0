"""A budget for extra work: retries and hedges may add a fraction to the load, never multiply it."""

from __future__ import annotations


class Budget:
    """Each call earns ``ratio`` of a token, each extra attempt spends one; at most ``reserve`` tokens are kept.

    It starts full: the first failures of a fresh process, and the burst when a replica dies with many calls in its
    hands, are what the reserve is for.
    """

    __slots__ = ("_ratio", "_reserve", "_tokens")

    def __init__(self, *, ratio: float, reserve: float) -> None:
        self._ratio = ratio
        self._reserve = reserve
        self._tokens = reserve

    def earn(self) -> None:
        """A call was made."""
        if self._tokens < self._reserve:
            self._tokens = min(self._reserve, self._tokens + self._ratio)

    def spend(self) -> bool:
        """Take a token for one extra attempt; False when there is none."""
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def __repr__(self) -> str:
        return f"<Budget {self._tokens:.1f} of {self._reserve:g}>"

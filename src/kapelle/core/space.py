"""Room in an arena: which of its bytes are taken. The lowest that fits is given out, so that few pages are ever touched."""

from __future__ import annotations

from bisect import bisect_left

GRAIN = 4096
"""Bytes that room is given out in multiples of: a page, as the machine counts memory."""


class Space:
    """``size`` bytes, of which parts are taken and given back."""

    def __init__(self, size: int) -> None:
        self._holes: list[tuple[int, int]] = [(0, size - size % GRAIN)]
        """(begin, end) of what is free, in order; no two touch."""
        self._taken: dict[int, int] = {}

    @property
    def taken(self) -> int:
        """Bytes in use."""
        return sum(end - begin for begin, end in self._taken.items())

    def take(self, length: int) -> int | None:
        """Where ``length`` bytes (at least 1) may lie; None where there is no such room."""
        length += -length % GRAIN
        for index, (begin, end) in enumerate(self._holes):
            if end - begin >= length:
                rest = [(begin + length, end)] if end - begin > length else []
                self._holes[index : index + 1] = rest
                self._taken[begin] = begin + length
                return begin
        return None

    def give_back(self, begin: int) -> None:
        """What was taken at ``begin`` is free."""
        end = self._taken.pop(begin)
        index = bisect_left(self._holes, (begin, end))
        before, after = self._holes[index - 1 : index] if index else [], self._holes[index : index + 1]
        first, last = index, index
        if before and before[0][1] == begin:
            begin, first = before[0][0], index - 1
        if after and after[0][0] == end:
            end, last = after[0][1], index + 1
        self._holes[first:last] = [(begin, end)]

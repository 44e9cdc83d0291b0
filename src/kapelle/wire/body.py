"""The body of a frame: raw bytes, in one piece or in several."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from kapelle.errors import WireError
from kapelle.types.octets import Octets

Buffer = Octets


class Pieces:
    """Bytes of which each piece is (begin, bytes); what lies between two of them is of no interest."""

    def __init__(self, pieces: Sequence[tuple[int, Buffer]]) -> None:
        self._begins = [begin for begin, _ in pieces]
        self._buffers = [buffer for _, buffer in pieces]

    def __len__(self) -> int:
        return self._begins[-1] + len(self._buffers[-1]) if self._begins else 0

    def __bytes__(self) -> bytes:
        whole = bytearray(len(self))
        for begin, buffer in zip(self._begins, self._buffers, strict=True):
            whole[begin : begin + len(buffer)] = buffer
        return bytes(whole)

    def cut(self, begin: int, end: int) -> memoryview:
        """The bytes from ``begin`` to ``end``, which are of one piece.

        Raises:
            WireError: they are not.
        """
        index = bisect_right(self._begins, begin) - 1
        if index >= 0:
            at, buffer = self._begins[index], self._buffers[index]
            if end <= at + len(buffer):
                return memoryview(buffer)[begin - at : end - at]
        raise WireError(f"bytes {begin}..{end} are not in one piece of the body")


Body = Buffer | Pieces


def cut(body: Body, begin: int, end: int) -> memoryview:
    """The bytes of a body from ``begin`` to ``end``.

    Raises:
        WireError: it does not have them.
    """
    if not 0 <= begin <= end <= len(body):
        raise WireError(f"bytes {begin}..{end} of a body of {len(body)} bytes")
    return body.cut(begin, end) if isinstance(body, Pieces) else memoryview(body)[begin:end]

"""Bodies in one piece and in several look the same to whoever cuts arrays out of them."""

from __future__ import annotations

import pytest

from kapelle.errors import WireError
from kapelle.wire.body import Pieces, cut

PIECES = Pieces([(0, b"abcd"), (16, bytearray(b"efgh")), (32, memoryview(b"ij"))])


def test_each_piece_is_found_at_its_place() -> None:
    assert len(PIECES) == 34
    assert len(Pieces([])) == 0
    assert bytes(PIECES) == b"abcd" + bytes(12) + b"efgh" + bytes(12) + b"ij"
    assert [bytes(cut(PIECES, *one)) for one in ((0, 4), (1, 3), (16, 20), (33, 34), (4, 4))] == [
        b"abcd", b"bc", b"efgh", b"j", b"",
    ]  # fmt: skip


@pytest.mark.parametrize("body", [PIECES, bytes(PIECES)])
@pytest.mark.parametrize(("begin", "end"), [(-1, 2), (3, 2), (0, 35), (34, 35)])
def test_what_is_not_there_cannot_be_cut(body: Pieces | bytes, begin: int, end: int) -> None:
    with pytest.raises(WireError, match=f"{begin}..{end} of a body of 34 bytes"):
        cut(body, begin, end)


@pytest.mark.parametrize(("begin", "end"), [(2, 5), (4, 16), (0, 34), (15, 17)])
def test_nothing_is_cut_across_pieces(begin: int, end: int) -> None:
    with pytest.raises(WireError, match="not in one piece"):
        cut(PIECES, begin, end)

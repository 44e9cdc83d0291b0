"""Pieces: whatever comes is all there in its order, and small ones are not kept one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kapelle.gateway.pieces import add_piece
from kapelle.wire.body import Buffer

kinds = st.sampled_from([bytes, memoryview])


@given(st.lists(st.tuples(kinds, st.sampled_from([0, 1, 3, 4095, 4096, 5000]))))
def test_all_of_it_is_there_in_few_pieces(came: list[tuple[type[bytes | memoryview], int]]) -> None:
    pieces: list[Buffer] = []
    sent = [kind(bytes([index % 256]) * size) for index, (kind, size) in enumerate(came)]
    for piece in sent:
        add_piece(pieces, piece)
    assert b"".join(pieces) == b"".join(sent)
    large = [piece for piece in sent if len(piece) >= 4096]
    assert len(pieces) <= 2 * len(large) + 2
    assert all(any(piece is kept for kept in pieces) for piece in large)

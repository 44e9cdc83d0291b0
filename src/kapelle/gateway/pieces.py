"""A body, or a part of one, that comes in pieces: few are kept however small they come, and large ones are joined once."""

from __future__ import annotations

from kapelle.wire.body import Buffer

_KEPT = 4096
"""Bytes from which on a piece is kept as it came until all are there; smaller ones are joined at once."""


def add_piece(pieces: list[Buffer], piece: Buffer) -> None:
    """``pieces`` go on with ``piece``."""
    if not pieces or len(piece) >= _KEPT:
        pieces.append(piece)
    elif isinstance(pieces[-1], bytearray):
        pieces[-1] += piece
    else:
        pieces.append(bytearray(piece))

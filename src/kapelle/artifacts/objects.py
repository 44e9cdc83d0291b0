"""Where a store keeps its objects: named byte strings that never change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from kapelle.errors import StoreError


class NoObject(StoreError):
    """The store can be reached, and has no object of this key, or not as much of it as was asked for."""


class Objects(Protocol):
    """Objects by key, such as ``blobs/ab/ab12…``. Every method blocks, and raises ``StoreError`` when it cannot be done.

    Nobody ever sees an object that is half written.
    """

    def read(self, key: str, start: int = 0) -> Iterator[bytes]:
        """The bytes of an object from ``start`` on, in pieces; none when it ends there.

        Raises:
            NoObject: there is none of this key, or it ends before ``start``.
        """

    def put(self, key: str, source: Path) -> None:
        """Store a file; an object that is there already stays as it is."""

    def create(self, key: str, data: bytes) -> bool:
        """Store ``data`` unless there is an object of this key; whether it was stored. Of several at once, one succeeds."""

    def exists(self, key: str) -> bool:
        """Whether there is an object of this key."""

    def list(self, prefix: str) -> list[str]:
        """The keys that begin with ``prefix`` (which ends with ``/``), sorted."""

    def delete(self, key: str) -> None:
        """Remove an object, if it is there."""

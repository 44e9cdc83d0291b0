"""The pointer of a store: a log of entries, of which the newest says which release is current."""

from __future__ import annotations

import re

import msgspec

from kapelle.artifacts.objects import Objects
from kapelle.core.rollout_messages import Pointer, Side
from kapelle.errors import StoreError

_PREFIX = "current/"
_KEY = re.compile(r"current/(\d{10})\.json")
_KEPT = 100
"""Entries that are kept, for people to read; only the newest counts."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry as it lies in the store. ``at`` is the wall-clock time of its writing, ``reason`` what it was written for."""

    release: str | None
    previous: str | None
    baking_since: float | None
    author: str
    reason: str
    at: float
    side: Side | None = None


class PointerLog:
    """The log in ``objects``. An entry is created if there is none of its number: that is the compare-and-swap."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._newest = 0

    def read(self) -> Pointer:
        """The newest entry.

        Raises:
            StoreError: the store cannot be read, or the entry is none.
        """
        if not self._newest:
            numbers = self.numbers
            self._newest = numbers[-1] if numbers else 0
        while self._objects.exists(_key(self._newest + 1)):
            self._newest += 1
        if not self._newest:
            return Pointer(0, None)
        entry = self.entry(self._newest)
        return Pointer(self._newest, entry.release, entry.previous, entry.baking_since, entry.author, entry.side)

    def write(self, pointer: Pointer, reason: str, now: float) -> bool:
        """Add an entry, unless there is one of its number; whether it was added.

        Raises:
            StoreError: the store cannot be written, or is not the one that has the entries before.
        """
        before = _key(pointer.epoch - 1)
        if pointer.epoch > 1 and not self._objects.exists(before):
            # Such as the folder under a disk that is not mounted any more: a log that begins there would be another one.
            raise StoreError(f"{self._objects} has no {before}; is it the same store as before?")
        entry = Entry(
            release=pointer.release, previous=pointer.previous, baking_since=pointer.baking_since,
            author=pointer.author, reason=reason, at=now, side=pointer.side,
        )  # fmt: skip
        if not self._objects.create(_key(pointer.epoch), msgspec.json.encode(entry)):
            return False
        old = _key(pointer.epoch - _KEPT)
        if pointer.epoch > _KEPT and self._objects.exists(old):
            self._objects.delete(old)
        return True

    @property
    def numbers(self) -> list[int]:
        """The numbers of all entries that are kept, oldest first."""
        found = (_KEY.fullmatch(key) for key in self._objects.list(_PREFIX))
        return sorted(int(one[1]) for one in found if one is not None)

    def entry(self, number: int) -> Entry:
        """One entry.

        Raises:
            StoreError: it cannot be read.
        """
        try:
            return msgspec.json.decode(b"".join(self._objects.read(_key(number))), type=Entry)
        except msgspec.DecodeError as error:
            raise StoreError(f"entry {number} of the pointer in {self._objects} cannot be read: {error}") from None


def _key(number: int) -> str:
    return f"{_PREFIX}{number:010}.json"

"""How publishes ended, written down in the store: what was refused, and why, is to be found later."""

from __future__ import annotations

import msgspec

from kapelle.artifacts.objects import Objects

_PREFIX = "history/"


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """The end of one publish. ``at`` is the wall-clock time."""

    release: str
    outcome: str
    reason: str
    at: float


class History:
    """The endings in ``objects``."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def add(self, ending: Ending) -> None:
        """Write one down.

        Raises:
            StoreError: the store cannot be written.
        """
        self._objects.create(f"{_PREFIX}{int(ending.at * 1e6):017}-{ending.release}.json", msgspec.json.encode(ending))

    def latest(self) -> dict[str, Ending]:
        """The last ending of each release.

        Raises:
            StoreError: the store cannot be read.
        """
        found: dict[str, Ending] = {}
        for key in self._objects.list(_PREFIX):
            try:
                ending = msgspec.json.decode(b"".join(self._objects.read(key)), type=Ending)
            except msgspec.DecodeError:
                continue  # of a newer Kapelle
            found[ending.release] = ending
        return found

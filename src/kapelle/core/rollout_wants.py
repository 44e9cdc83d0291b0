"""Which releases processes are to hold, and why."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from kapelle.core.rollout_messages import Pointer, Watch


@dataclass(frozen=True, slots=True)
class Wants:
    """``candidate`` is being prepared, ``previous`` kept to go back to; ``seen`` is what gateways give requests to."""

    pointer: Pointer
    candidate: str | None
    previous: str | None
    seen: AbstractSet[str]

    @property
    def releases(self) -> list[str]:
        """All of them, the most urgent first."""
        found = (self.pointer.release, self._beside, self.candidate, self.previous, *self.left)
        return list(dict.fromkeys(release for release in found if release is not None))

    @property
    def left(self) -> list[str]:
        """What gateways still give requests to though the pointer does not name it, or not yet."""
        return sorted(self.seen - {self.pointer.release, self._beside})

    @property
    def by_age(self) -> list[str]:
        """One that had the requests first, then those that follow it."""
        older = [one for one in (self.previous, *self.left) if one is not None]
        return [*older[:1], *(one for one in self.releases if one not in older)]

    @property
    def _beside(self) -> str | None:
        return self.pointer.side.release if self.pointer.side is not None else None


def what_to_watch(pointer: Pointer, *, on_trial: bool) -> Watch | None:
    """The two releases to compare under traffic, if there are two."""
    if pointer.side is not None:
        return Watch(pointer.release or "", pointer.side.release)
    return Watch(pointer.previous or "", pointer.release or "") if on_trial else None

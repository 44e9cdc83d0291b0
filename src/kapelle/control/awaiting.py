"""What a process of an engine begins with: the release that the store's pointer names, waited for until there is one."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import PurePath

import structlog

from kapelle.artifacts.objects import Objects
from kapelle.artifacts.pointer import PointerLog
from kapelle.artifacts.releases import Releases
from kapelle.clock import wall
from kapelle.core.rollout_messages import Pointer
from kapelle.errors import StoreError

log = structlog.get_logger()

_EVERY = 1.0
"""Seconds between two looks; a store tells nobody when it has changed."""


def current_release(objects: Objects, target: str, *, begin: bool = False) -> str:
    """The release that is current; blocks until the store can be read and has one.

    ``begin`` makes the newest release the current one where none ever was: the controller does that.
    """
    pointer_log, releases = PointerLog(objects), Releases(objects)

    def look() -> str:
        pointer = pointer_log.read()
        if pointer.release is None and begin and releases.names:
            newest = releases.names[-1]
            first = Pointer(pointer.epoch + 1, newest, None, None, "kapelle start controller")
            pointer_log.write(first, f"begun with {newest}", wall())
            pointer = pointer_log.read()
        return pointer.release or ""

    return _awaited(look, f"no release is current in {objects}; {_next_step(target)}")


def newest_release(objects: Objects, target: str) -> str:
    """The newest release, current or not; blocks until the store can be read and has one."""
    releases = Releases(objects)

    def look() -> str:
        names = releases.names
        return names[-1] if names else ""

    return _awaited(look, f"no release is in {objects}; {_next_step(target)}")


def _next_step(target: str) -> str:
    return f"`kapelle release build {PurePath(target)}` makes one"


def _awaited(look: Callable[[], str], nothing: str) -> str:
    """What a look at the store finds in the end; what it waits for is told once."""
    told = ""
    while True:
        try:
            if found := look():
                return found
            reason = nothing
        except StoreError as error:
            reason = error.detail
        if reason != told:
            log.warning("waiting for a release", reason=reason)
            told = reason
        time.sleep(_EVERY)

"""Keeping the cache of a machine small where no controller is on it: whoever drops a release clears what nobody needs."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import structlog

from kapelle.artifacts.cache import Cache
from kapelle.artifacts.pointer import PointerLog
from kapelle.artifacts.releases import Releases
from kapelle.artifacts.stores import open_objects
from kapelle.config.orders import LOCAL
from kapelle.errors import KapelleError

log = structlog.get_logger()

_SPARED = 3600.0
"""Seconds for which what somebody has taken from the cache is left alone: others may be about to serve it."""


def tidy(cache: Path, store: str, held: Collection[str]) -> None:
    """Remove from ``cache`` what belongs neither to the releases ``held`` here nor to the current and the previous one.

    What was used within the last hour stays, too. Where the store cannot be read, all stays. Blocks.
    """
    objects = open_objects(store)
    try:
        pointer, releases = PointerLog(objects).read(), Releases(objects)
        names = {*held, pointer.release, pointer.previous} - {None, LOCAL}
        kept = [releases.get(name).manifest.identity for name in names if name is not None]
        Cache(cache).prune(kept, spared=_SPARED)
    except KapelleError as error:
        log.warning("what nobody needs any more cannot be removed", reason=error.detail)

"""Replacing a whole folder at once, so that nobody sees half of it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ABANDONED_AFTER = 24 * 3600.0  # seconds; no build takes a day


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A new, empty folder beside ``target``; takes the target's place if the block succeeds, and is removed if not."""
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(target)
    fresh, old = (target.with_name(f".{target.name}.{os.getpid()}.{state}") for state in ("new", "old"))
    fresh.mkdir()
    try:
        yield fresh
        # A folder with content cannot be renamed over; between these two calls there is no target.
        if target.exists():
            target.rename(old)
        fresh.rename(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def _remove_abandoned(target: Path) -> None:
    """What builds left that were killed."""
    for pattern in (f".{target.name}.*.new", f".{target.name}.*.old"):
        for folder in target.parent.glob(pattern):
            if time.time() - folder.stat().st_mtime > ABANDONED_AFTER:
                shutil.rmtree(folder, ignore_errors=True)

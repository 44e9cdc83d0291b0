"""What images are called."""

from __future__ import annotations

import re

from kapelle.config.engine import container_name
from kapelle.errors import DeployError

_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_HOST = r"[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]+)?"
_NAME = re.compile(rf"(?:{_HOST}/)?{_PART}(?:/{_PART})*")
_SHOWN = 12


def image_name(given: str, app: str) -> str:
    """The name that all images of an app begin with: the one that was given, or the app's.

    Raises:
        DeployError: no engine would take it.
    """
    name = given or container_name(app)
    if not _NAME.fullmatch(name):
        raise DeployError(
            f"images cannot be called {name!r}; expected lower-case letters, digits, '-', '_' and '.', and before them at "
            "most a registry and a path, as in 'registry.example.org/team/search'"
        )
    return name


def tag_of(digest: str) -> str:
    """The tag of an image that is known by a digest."""
    return digest[:_SHOWN]

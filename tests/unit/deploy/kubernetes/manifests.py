"""Manifests of test systems, read back."""

from __future__ import annotations

from typing import Any

import yaml

Manifest = dict[str, Any]


def read_all(text: str) -> list[Manifest]:
    """The documents of a file."""
    return list(yaml.safe_load_all(text))


def named(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    """The one manifest of this kind and name."""
    [found] = [one for one in manifests if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found

"""The settings that a project has in its files, as the kapelle.toml of its images."""

from __future__ import annotations

import json
from pathlib import Path

from kapelle.config.settings import load

_OF_THIS_MACHINE = ("artifacts", "tls_certificate", "tls_key")
"""Containers have no such files: releases bring artifacts, and what stands before the gateways ends TLS."""


def settings_file(project: Path) -> bytes:
    """What kapelle.toml and pyproject.toml in a folder say, in one file; empty where they say nothing.

    Raises:
        ConfigError: they say what is no setting.
    """
    loaded = load(folder=project, environment={})
    lines = [
        # Numbers, texts and truth values are written alike, but for characters that JSON would write as two halves.
        f"{name} = {json.dumps(getattr(loaded.settings, name), ensure_ascii=False)}\n"
        for name, origin in loaded.origins.items()
        if origin != "default" and name not in _OF_THIS_MACHINE
    ]
    return "".join(lines).encode()

"""The settings that a project has in its files, as the kapelle.toml of its images."""

from __future__ import annotations

import json
from pathlib import Path

from kapelle.config.settings import load


def settings_file(project: Path) -> bytes:
    """What kapelle.toml and pyproject.toml in a folder say, in one file; empty where they say nothing.

    Raises:
        ConfigError: they say what is no setting.
    """
    loaded = load(folder=project, environment={})
    lines = [
        f"{name} = {json.dumps(getattr(loaded.settings, name))}\n"  # numbers, texts and truth values are written alike
        for name, origin in loaded.origins.items()
        if origin != "default"
    ]
    return "".join(lines).encode()

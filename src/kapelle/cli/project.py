"""What all verbs need first: the app that is meant, its folder, its settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kapelle.config.settings import load
from kapelle.control.rundir import RunDir
from kapelle.declare.loading import Target
from kapelle.errors import ConfigError

STATE = Path(".kapelle")
"""Where run folders are by default, below the folder in which a system is started."""


class Project:
    """An app and its settings, found from the words of a command line."""

    def __init__(self, target: str, options: Mapping[str, Any]) -> None:
        self.target = Target(target)
        self.settings = load(folder=Path.cwd(), environment=os.environ, arguments=options).settings

    @property
    def artifacts(self) -> Path:
        """The folder of artifacts."""
        named = self.settings.artifacts
        return Path(named).absolute() if named else self.target.folder / "artifacts"

    @property
    def run(self) -> RunDir:
        """The folder of the running system."""
        named = self.settings.run_dir
        return RunDir(Path(named) if named else STATE / self.target.name)


def running_project(target: str | None, run_dir: str | None) -> Project:
    """The project of a running system; where no target is named, the only one that runs from this folder.

    Raises:
        ConfigError: nothing runs here, or several do.
    """
    if target is not None:
        return Project(target, {"run_dir": run_dir})
    folders = [Path(run_dir)] if run_dir else sorted(STATE.iterdir()) if STATE.is_dir() else []
    systems = {folder: system for folder in folders if (system := RunDir(folder).system()) is not None}
    if not systems:
        raise ConfigError("nothing runs from this folder; start an app with `kapelle serve TARGET`, or name its target")
    if len(systems) > 1:
        names = ", ".join(system.target for system in systems.values())
        raise ConfigError(f"several systems run from this folder ({names}); name the target")
    ((folder, system),) = systems.items()
    return Project(system.target, {"run_dir": str(folder)})

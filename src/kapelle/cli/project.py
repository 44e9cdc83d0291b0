"""What all verbs need first: the app that is meant, its folder, its settings; or the system that runs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kapelle.artifacts.objects import Objects
from kapelle.artifacts.releases import Releases
from kapelle.artifacts.stores import open_objects
from kapelle.cli.failures import load_app
from kapelle.config.settings import Settings, check_text, load
from kapelle.control.adoption import lives
from kapelle.control.plan import Stock
from kapelle.control.rundir import Record, RunDir
from kapelle.declare.apps import AppSpec
from kapelle.declare.loading import Target
from kapelle.errors import ConfigError

STATE = Path(".kapelle")
"""Where run folders are by default, below the folder in which a system is started."""


class NothingRuns(ConfigError):
    """Nothing runs from this folder."""


class Project:
    """An app and its settings, found from the words of a command line."""

    def __init__(self, target: str, options: Mapping[str, Any]) -> None:
        check_text("the app", target)
        check_text("the current folder", str(Path.cwd()))
        self.target = Target(target)
        self.settings = _settings(options)

    def load(self) -> AppSpec:
        """The app itself; its module is imported.

        Raises:
            KapelleError: it cannot be.
        """
        return load_app(self.target)

    @property
    def artifacts(self) -> Path:
        """The folder of artifacts."""
        named = self.settings.artifacts
        return Path(named).absolute() if named else self.target.folder / "artifacts"

    @property
    def stock(self) -> Stock:
        """Where the app's artifacts and releases are."""
        named = self.settings.cache
        cache = Path(named) if named else STATE / "cache" / self.target.label
        return Stock(self.artifacts, self.store, cache.absolute())

    @property
    def store(self) -> str:
        """Where the releases are kept."""
        named = self.settings.store or str(STATE / "store" / self.target.label)
        return named if "://" in named else str(Path(named).absolute())

    @property
    def objects(self) -> Objects:
        """What is in the store."""
        return open_objects(self.store)

    @property
    def releases(self) -> Releases:
        """The releases of the app."""
        return Releases(self.objects)

    @property
    def run(self) -> RunDir:
        """The folder of the running system."""
        named = self.settings.run_dir
        return RunDir(Path(named) if named else STATE / self.target.label)


@dataclass(frozen=True, slots=True)
class Running:
    """A system that runs, and its app as it was named when it was started."""

    target: str
    run: RunDir

    @property
    def records(self) -> list[Record]:
        """Its processes that live."""
        return live_records(self.run)


def find_running(target: str | None, run_dir: str | None) -> Running:
    """The running system that is meant; where no app is named, the only one that runs from this folder.

    Raises:
        NothingRuns: none does.
        ConfigError: several do, and none is named; or it is another user's.
    """
    if target is not None:
        named = Running(target, Project(target, {"run_dir": run_dir}).run)
        if not _runs(named.run):
            _refuse_closed([named.run])
            raise NothingRuns(f"nothing runs for {target}; start it with `kapelle serve {target}`")
        return named
    folder = _settings({"run_dir": run_dir}).run_dir
    folders = [Path(folder)] if folder else sorted(STATE.iterdir()) if STATE.is_dir() else []
    found = [one for path in folders if (one := _running(RunDir(path))) is not None]
    if not found:
        _refuse_closed(map(RunDir, folders))
        place = folder or "this folder"
        raise NothingRuns(f"nothing runs from {place}; start an app with `kapelle serve TARGET`")
    if len(found) > 1:
        names = ", ".join(one.target for one in found)
        raise ConfigError(f"several systems run from this folder: {names}; name the one you mean")
    return found[0]


def live_records(run: RunDir) -> list[Record]:
    """The processes on record that live."""
    return [one for one in run.records() if lives(one)]


def _refuse_closed(runs: Iterable[RunDir]) -> None:
    for run in runs:
        if run.is_closed:
            raise ConfigError(
                f"{run.path} belongs to another user, and what runs in it cannot be seen: run this as that user, or as root"
            )


def _running(run: RunDir) -> Running | None:
    system = run.system()
    return Running(system.target, run) if system is not None and _runs(run) else None


def _runs(run: RunDir) -> bool:
    """Whether processes run, or a controller does whose processes run elsewhere."""
    return bool(live_records(run)) or run.has_controller


def _settings(options: Mapping[str, Any]) -> Settings:
    return load(folder=Path.cwd(), environment=os.environ, arguments=options).settings

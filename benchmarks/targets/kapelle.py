"""Kapelle itself, from the environment that runs the benchmarks."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from dialogue import Dialogue, ask_for_predictions
from pictures import PICTURES, ask_for_bands
from targets.base import BENCHMARKS, Command, NotInstalled, Scene

APPS = {
    "tiny": "tiny.py:Tiny",
    "tiny-batched": "tiny.py:TinyBatched",
    "fused": "tiny.py:Fused",
    "pipeline": "pictures.py:Pipeline",
    "relay": "pictures.py:Relay",
}


class Kapelle:
    name = "kapelle"
    scenarios: Sequence[str] = tuple(APPS)
    packages: Sequence[str] = ("kapelle", "msgspec", "uvloop", "httptools", "pillow", "numpy")
    tuning = (
        "one gateway, one replica of each service, every check and metric on as by default; access log off as for all; "
        "batched: up to 32 within 1 ms; pictures: a gateway that also postprocesses, a preprocessor and a model"
    )

    def python(self) -> Path:
        return Path(sys.executable)

    def commands(self, scene: Scene) -> Sequence[Command]:
        return [kapelle_serve(APPS[scene.scenario], scene)]

    def dialogue(self, scenario: str) -> Dialogue:
        return ask_for_bands(scenario) if scenario in PICTURES else ask_for_predictions()


class KapelleApp:
    """One of our apps with settings of its own (``{"KAPELLE_TRANSPORT": "tcp"}``), for what only Kapelle is asked.

    ``ready`` is what it answers right once it is up.
    """

    scenarios: Sequence[str] = ()
    packages = Kapelle.packages
    tuning = "as by default, but for what is said"

    def __init__(self, app: str, ready: Dialogue, settings: Mapping[str, str] | None = None) -> None:
        self.name = app
        self._ready = ready
        self._settings = settings or {}

    def python(self) -> Path:
        return Path(sys.executable)

    def commands(self, scene: Scene) -> Sequence[Command]:
        return [kapelle_serve(self.name, scene, self._settings)]

    def dialogue(self, scenario: str) -> Dialogue:
        return self._ready


def kapelle_serve(app: str, scene: Scene, settings: Mapping[str, str] | None = None) -> Command:
    """The command that serves an app of `kapelle_apps`, with this checkout's Kapelle, whichever one is installed.

    Raises:
        NotInstalled: none is.
    """
    kapelle = Path(sys.executable).parent / "kapelle"
    if not kapelle.exists():
        raise NotInstalled(f"there is no `kapelle` beside {sys.executable}; run `make` and use .venv/bin/python")
    environment = {
        "PYTHONPATH": f"{BENCHMARKS.parent / 'src'}:{BENCHMARKS / 'model'}",
        "KAPELLE_ACCESS_LOG": "false",
        "KAPELLE_RUN_DIR": str(scene.folder / "run"),
        **(settings or {}),
    }
    return Command([kapelle, "serve", BENCHMARKS / "kapelle_apps" / app, "--port", str(scene.port)], environment)

"""Kapelle itself, from the environment that runs the benchmarks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
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
        kapelle = self.python().parent / "kapelle"
        if not kapelle.exists():
            raise NotInstalled(f"there is no `kapelle` beside {self.python()}; run `make` and use .venv/bin/python")
        app = str(BENCHMARKS / "kapelle_apps" / APPS[scene.scenario])
        environment = {
            # This checkout's Kapelle, whichever one is installed.
            "PYTHONPATH": f"{BENCHMARKS.parent / 'src'}:{BENCHMARKS / 'model'}",
            "KAPELLE_ACCESS_LOG": "false",
            "KAPELLE_RUN_DIR": str(scene.folder / "run"),
        }
        return [Command([kapelle, "serve", app, "--port", str(scene.port)], environment)]

    def dialogue(self, scenario: str) -> Dialogue:
        return ask_for_bands(scenario) if scenario in PICTURES else ask_for_predictions()

"""Kapelle itself, from the environment that runs the benchmarks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from dialogue import Dialogue, ask_for_predictions
from targets.base import BENCHMARKS, Command, NotInstalled, Scene

APPS = {"tiny": "Tiny", "tiny-batched": "TinyBatched", "fused": "Fused"}


class Kapelle:
    name = "kapelle"
    scenarios: Sequence[str] = tuple(APPS)
    packages: Sequence[str] = ("kapelle", "msgspec", "uvloop", "httptools", "numpy")
    tuning = (
        "one gateway, one replica, every check and metric on as by default; access log off as for all; batched: up to "
        "32 within 1 ms"
    )

    def python(self) -> Path:
        return Path(sys.executable)

    def commands(self, scene: Scene) -> Sequence[Command]:
        kapelle = self.python().parent / "kapelle"
        if not kapelle.exists():
            raise NotInstalled(f"there is no `kapelle` beside {self.python()}; run `make` and use .venv/bin/python")
        app = f"{BENCHMARKS / 'kapelle_apps' / 'tiny.py'}:{APPS[scene.scenario]}"
        environment = {"KAPELLE_ACCESS_LOG": "false", "KAPELLE_RUN_DIR": str(scene.folder / "run")}
        return [Command([kapelle, "serve", app, "--port", str(scene.port)], environment)]

    def dialogue(self, scenario: str) -> Dialogue:
        return ask_for_predictions()

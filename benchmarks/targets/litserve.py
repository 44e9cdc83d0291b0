"""LitServe: a FastAPI front and one worker process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dialogue import Dialogue, ask_for_predictions
from targets.base import PEERS, Command, Scene, peer_python


class LitServe:
    name = "litserve"
    scenarios: Sequence[str] = ("tiny", "tiny-batched")
    packages: Sequence[str] = ("litserve", "fastapi", "starlette", "uvicorn", "uvloop", "httptools", "numpy")
    tuning = (
        "one API server, one worker; fast_queue (ZeroMQ) between them, its documented choice for high request rates; "
        "batched: up to 32 within 1 ms; access log off"
    )

    def python(self) -> Path:
        return peer_python("litserve")

    def commands(self, scene: Scene) -> Sequence[Command]:
        environment = {"PORT": str(scene.port), "BATCHED": "1" if scene.batched else "", "TMPDIR": str(scene.folder)}
        return [Command([self.python(), PEERS / "litserve" / "litserve_server.py"], environment)]

    def dialogue(self, scenario: str) -> Dialogue:
        return ask_for_predictions()

"""BentoML: one uvicorn worker under a supervisor; a single service runs its model in that worker, with no hop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dialogue import Dialogue, ask_for_predictions
from targets.base import PEERS, Command, Scene, peer_python


class BentoMl:
    name = "bentoml"
    scenarios: Sequence[str] = ("tiny", "tiny-batched")
    packages: Sequence[str] = ("bentoml", "starlette", "pydantic", "uvicorn", "uvloop", "httptools", "numpy")
    tuning = (
        "one worker, uvloop and httptools (uvicorn takes them when installed), access log off, metrics on as by "
        "default; batched: adaptive batching, up to 32, its own latency bound"
    )

    def python(self) -> Path:
        return peer_python("bentoml")

    def commands(self, scene: Scene) -> Sequence[Command]:
        service = f"bentoml_services:{'TinyBatched' if scene.batched else 'Tiny'}"
        what = ["serve", service, "--working-dir", str(PEERS / "bentoml")]
        where = ["--host", "127.0.0.1", "--port", str(scene.port)]
        environment = {"BENTOML_HOME": str(scene.folder), "BENTOML_DO_NOT_TRACK": "True"}
        return [Command([self.python().parent / "bentoml", *what, *where], environment)]

    def dialogue(self, scenario: str) -> Dialogue:
        # A batchable method's array is split among the callers and each answer is the bare list.
        return ask_for_predictions(at=() if scenario == "tiny-batched" else ("predictions",))

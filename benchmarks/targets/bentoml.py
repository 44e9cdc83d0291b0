"""BentoML: a uvicorn worker for each service under a supervisor; a single service runs its model there, with no hop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dialogue import Dialogue, ask_for_predictions
from pictures import PICTURES, ask_for_bands
from targets.base import PEERS, Command, Scene, peer_python

SERVICES = {
    "tiny": "bentoml_services:Tiny",
    "tiny-batched": "bentoml_services:TinyBatched",
    "pipeline": "bentoml_pictures:Pipeline",
    "relay": "bentoml_pictures:Relay",
}


class BentoMl:
    name = "bentoml"
    scenarios: Sequence[str] = tuple(SERVICES)
    packages: Sequence[str] = ("bentoml", "starlette", "pydantic", "uvicorn", "uvloop", "httptools", "pillow", "numpy")
    tuning = (
        "one worker a service, uvloop and httptools (uvicorn takes them when installed), access log off, metrics on as "
        "by default; batched: adaptive batching, up to 32, its own latency bound; pictures: a service that "
        "preprocesses, a model, and for the pipeline one that postprocesses"
    )

    def python(self) -> Path:
        return peer_python("bentoml")

    def commands(self, scene: Scene) -> Sequence[Command]:
        what = ["serve", SERVICES[scene.scenario], "--working-dir", str(PEERS / "bentoml")]
        where = ["--host", "127.0.0.1", "--port", str(scene.port)]
        environment = {"BENTOML_HOME": str(scene.folder), "BENTOML_DO_NOT_TRACK": "True"}
        return [Command([self.python().parent / "bentoml", *what, *where], environment)]

    def dialogue(self, scenario: str) -> Dialogue:
        if scenario in PICTURES:
            return ask_for_bands(scenario)
        # A batchable method's array is split among the callers and each answer is the bare list.
        return ask_for_predictions(at=() if scenario == "tiny-batched" else ("predictions",))

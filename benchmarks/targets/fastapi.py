"""FastAPI on uvicorn: all in one process, as a front with the model in a service of its own, and as a chain of apps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dialogue import Dialogue, ask_for_predictions
from pictures import PICTURES, ask_for_bands
from targets.base import PEERS, Command, Scene, peer_python

PACKAGES = ("fastapi", "starlette", "pydantic", "uvicorn", "uvloop", "httptools", "numpy")


def uvicorn(app: str, port: int) -> list[str | Path]:
    """The command that serves one of our apps, named as module:app."""
    where = ["--app-dir", str(PEERS / "fastapi"), "--host", "127.0.0.1", "--port", str(port)]
    how = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    return [peer_python("fastapi"), "-m", "uvicorn", app, *where, *how]


class FastApi:
    name = "fastapi"
    scenarios: Sequence[str] = ("tiny", "fused")
    packages: Sequence[str] = PACKAGES
    tuning = "one uvicorn process that also runs the model (no hop); uvloop, httptools, access log off"

    def python(self) -> Path:
        return peer_python("fastapi")

    def commands(self, scene: Scene) -> Sequence[Command]:
        return [Command(uvicorn("fastapi_apps:model", scene.port))]

    def dialogue(self, scenario: str) -> Dialogue:
        return ask_for_predictions()


class FastApiTwoServices:
    name = "fastapi-two-services"
    scenarios: Sequence[str] = ("tiny",)
    packages: Sequence[str] = (*PACKAGES, "aiohttp")
    tuning = "a FastAPI front that validates and asks a FastAPI model service over aiohttp's pooled connections"

    def python(self) -> Path:
        return peer_python("fastapi")

    def commands(self, scene: Scene) -> Sequence[Command]:
        model_port = scene.spare_ports[0]
        front = Command(
            uvicorn("fastapi_apps:front", scene.port), {"MODEL_URL": f"http://127.0.0.1:{model_port}/predict"}
        )
        return [Command(uvicorn("fastapi_apps:model", model_port)), front]

    def dialogue(self, scenario: str) -> Dialogue:
        return ask_for_predictions()


class FastApiChain:
    """``shared`` puts tensors into files of /dev/shm on their way between apps."""

    scenarios: Sequence[str] = tuple(PICTURES)
    packages: Sequence[str] = (*PACKAGES, "aiohttp", "pillow")

    def __init__(self, *, shared: bool) -> None:
        self.name = "fastapi-shm" if shared else "fastapi-chain"
        way = "in files of /dev/shm, whose names" if shared else "in bodies, which"
        self.tuning = (
            f"an app in a process of its own for each stage; tensors are {way} go over aiohttp's pooled connections; "
            "uvloop, httptools, access log off"
        )
        self._shared = shared

    def python(self) -> Path:
        return peer_python("fastapi")

    def commands(self, scene: Scene) -> Sequence[Command]:
        model, post = scene.spare_ports[:2]
        environment = {
            "MODEL_URL": f"http://127.0.0.1:{model}/predict",
            "POST_URL": f"http://127.0.0.1:{post}/predict",
            "SHM": f"/dev/shm/{scene.folder.name}" if self._shared else "",
        }
        ports = {scene.scenario: scene.port, "model": model}
        if scene.scenario == "pipeline":
            ports["post"] = post
        return [Command(uvicorn(f"picture_apps:{app}", port), environment) for app, port in ports.items()]

    def dialogue(self, scenario: str) -> Dialogue:
        return ask_for_bands(scenario)

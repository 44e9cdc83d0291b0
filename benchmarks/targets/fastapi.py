"""FastAPI on uvicorn: all in one process, and as a front with the model in a service of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dialogue import Dialogue, ask_for_predictions
from targets.base import PEERS, Command, Scene, peer_python

PACKAGES = ("fastapi", "starlette", "pydantic", "uvicorn", "uvloop", "httptools", "numpy")


def uvicorn(app: str, port: int) -> list[str | Path]:
    """The command that serves an app of `fastapi_apps.py`."""
    where = ["--app-dir", str(PEERS / "fastapi"), "--host", "127.0.0.1", "--port", str(port)]
    how = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    return [peer_python("fastapi"), "-m", "uvicorn", f"fastapi_apps:{app}", *where, *how]


class FastApi:
    name = "fastapi"
    scenarios: Sequence[str] = ("tiny", "fused")
    packages: Sequence[str] = PACKAGES
    tuning = "one uvicorn process that also runs the model (no hop); uvloop, httptools, access log off"

    def python(self) -> Path:
        return peer_python("fastapi")

    def commands(self, scene: Scene) -> Sequence[Command]:
        return [Command(uvicorn("model", scene.port))]

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
        front = Command(uvicorn("front", scene.port), {"MODEL_URL": f"http://127.0.0.1:{model_port}/predict"})
        return [Command(uvicorn("model", model_port)), front]

    def dialogue(self, scenario: str) -> Dialogue:
        return ask_for_predictions()

"""MLServer: a FastAPI front that speaks the Open Inference Protocol, and one inference worker process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec

from dialogue import FLOWERS, Dialogue, Exchange
from targets.base import PEERS, Command, Scene, peer_python

QUIET_LOGS = {
    "version": 1,
    "handlers": {"console": {"class": "logging.StreamHandler", "level": "WARNING"}},
    "root": {"level": "WARNING", "handlers": ["console"]},
}


class MlServer:
    name = "mlserver"
    scenarios: Sequence[str] = ("tiny", "tiny-batched")
    packages: Sequence[str] = ("mlserver", "fastapi", "starlette", "pydantic", "uvicorn", "uvloop", "numpy")
    tuning = (
        "Open Inference Protocol over REST, one parallel worker, metrics on as by default, gzip, debug and access log "
        "off; batched: up to 32 within 1 ms"
    )

    def python(self) -> Path:
        return peer_python("mlserver")

    def commands(self, scene: Scene) -> Sequence[Command]:
        grpc_port, metrics_port = scene.spare_ports[:2]
        settings = {
            "debug": False,
            "host": "127.0.0.1",
            "http_port": scene.port,
            "grpc_port": grpc_port,
            "metrics_port": metrics_port,
            "parallel_workers": 1,
            "gzip_enabled": False,
            "logging_settings": QUIET_LOGS,
        }
        model: dict[str, object] = {"name": "tiny", "implementation": "mlserver_model.Tiny"}
        if scene.batched:
            model |= {"max_batch_size": 32, "max_batch_time": 0.001}
        (scene.folder / "settings.json").write_text(json.dumps(settings))
        (scene.folder / "model-settings.json").write_text(json.dumps(model))
        (scene.folder / "mlserver_model.py").symlink_to(PEERS / "mlserver" / "mlserver_model.py")
        environment = {"MLSERVER_METRICS_DIR": str(scene.folder), "MLSERVER_ENVIRONMENTS_DIR": str(scene.folder)}
        return [Command([self.python().parent / "mlserver", "start", scene.folder], environment)]

    def dialogue(self, scenario: str) -> Dialogue:
        exchanges = [
            Exchange(
                msgspec.json.encode({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": row}]}),
                ("outputs", 0, "data"),
                [flower],
            )
            for row, flower in FLOWERS
        ]
        return Dialogue("/v2/models/tiny/infer", exchanges)

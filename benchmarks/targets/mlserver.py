"""MLServer: a FastAPI front that speaks the Open Inference Protocol, and one inference worker process."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path

import msgspec

from dialogue import FLOWERS, Dialogue, Exchange
from pictures import PICTURES, ask_for_bands
from targets.base import PEERS, Command, Scene, peer_python

INFER = "/v2/models/model/infer"
QUIET_LOGS = {
    "version": 1,
    "handlers": {"console": {"class": "logging.StreamHandler", "level": "WARNING"}},
    "root": {"level": "WARNING", "handlers": ["console"]},
}


class MlServer:
    name = "mlserver"
    scenarios: Sequence[str] = ("tiny", "tiny-batched", *PICTURES)
    packages: Sequence[str] = ("mlserver", "fastapi", "starlette", "pydantic", "uvicorn", "uvloop", "pillow", "numpy")
    tuning = (
        "Open Inference Protocol over REST, one parallel worker, metrics on as by default, gzip, debug and access log "
        "off; batched: up to 32 within 1 ms; pictures: base64 in JSON, for its REST takes no binary tensors, and one "
        "worker that does all"
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
        pictures = scene.scenario in PICTURES
        module = "mlserver_pictures" if pictures else "mlserver_model"
        runtime = scene.scenario.capitalize() if pictures else "Tiny"
        model: dict[str, object] = {"name": "model", "implementation": f"{module}.{runtime}"}
        if scene.batched:
            model |= {"max_batch_size": 32, "max_batch_time": 0.001}
        (scene.folder / "settings.json").write_text(json.dumps(settings))
        (scene.folder / "model-settings.json").write_text(json.dumps(model))
        (scene.folder / f"{module}.py").symlink_to(PEERS / "mlserver" / f"{module}.py")
        environment = {"MLSERVER_METRICS_DIR": str(scene.folder), "MLSERVER_ENVIRONMENTS_DIR": str(scene.folder)}
        return [Command([self.python().parent / "mlserver", "start", scene.folder], environment)]

    def dialogue(self, scenario: str) -> Dialogue:
        if scenario in PICTURES:
            return ask_for_bands(
                scenario, INFER, at=("outputs", 0, "data", 0), wrap=as_base64, content_type="application/json"
            )
        exchanges = [
            Exchange(
                msgspec.json.encode({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": row}]}),
                ("outputs", 0, "data"),
                [flower],
            )
            for row, flower in FLOWERS
        ]
        return Dialogue(INFER, exchanges)


def as_base64(data: bytes) -> bytes:
    """An inference request with one input, which is bytes."""
    text = base64.b64encode(data).decode()
    parameters = {"content_type": "base64"}
    tensor = {"name": "x", "shape": [1], "datatype": "BYTES", "parameters": parameters, "data": [text]}
    return msgspec.json.encode({"inputs": [tensor]})

"""LitServe: a FastAPI front and one worker process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dialogue import Dialogue, ask_for_predictions
from pictures import PICTURES, ask_for_bands
from targets.base import PEERS, Command, Scene, peer_python

BOUNDARY = "what-no-picture-of-these-holds"


class LitServe:
    name = "litserve"
    scenarios: Sequence[str] = ("tiny", "tiny-batched", *PICTURES)
    packages: Sequence[str] = ("litserve", "fastapi", "starlette", "uvicorn", "uvloop", "httptools", "pillow", "numpy")
    tuning = (
        "one API server, one worker; fast_queue (ZeroMQ) between them, its documented choice for high request rates; "
        "batched: up to 32 within 1 ms; access log off; pictures: a file of a multipart body, its way for binary input, "
        "and one worker that does all"
    )

    def python(self) -> Path:
        return peer_python("litserve")

    def commands(self, scene: Scene) -> Sequence[Command]:
        pictures = scene.scenario in PICTURES
        server = PEERS / "litserve" / ("litserve_pictures.py" if pictures else "litserve_server.py")
        environment = {"PORT": str(scene.port), "BATCHED": "1" if scene.batched else "", "TMPDIR": str(scene.folder)}
        return [Command([self.python(), server], environment | {"SCENARIO": scene.scenario})]

    def dialogue(self, scenario: str) -> Dialogue:
        if scenario not in PICTURES:
            return ask_for_predictions()
        return ask_for_bands(scenario, wrap=as_file, content_type=f"multipart/form-data; boundary={BOUNDARY}")


def as_file(data: bytes) -> bytes:
    """A multipart body with one file in it."""
    head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="data"\r\n\r\n'
    return head.encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode()

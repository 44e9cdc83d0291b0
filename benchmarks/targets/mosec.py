"""mosec: a Rust front (hyper, tokio) and one Python worker process on a Unix socket."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dialogue import Dialogue, ask_for_predictions
from targets.base import PEERS, Command, Scene, peer_python


class Mosec:
    name = "mosec"
    scenarios: Sequence[str] = ("tiny", "tiny-batched")
    packages: Sequence[str] = ("mosec", "msgspec", "numpy")
    tuning = (
        "one worker process; JSON decoded, validated and encoded by msgspec through its serialisation hooks; "
        "batched: up to 32 within 1 ms, the shortest wait it takes; log level warning"
    )

    def python(self) -> Path:
        return peer_python("mosec")

    def commands(self, scene: Scene) -> Sequence[Command]:
        server = PEERS / "mosec" / "mosec_server.py"
        where = ["--address", "127.0.0.1", "--port", str(scene.port), "--path", str(scene.folder / "mosec")]
        limits = ["--timeout", "30000", "--log-level", "warning"]
        return [Command([self.python(), server, *where, *limits], {"BATCHED": "1" if scene.batched else ""})]

    def dialogue(self, scenario: str) -> Dialogue:
        return ask_for_predictions()

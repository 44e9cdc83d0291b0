"""mosec: a Rust front (hyper, tokio) and one Python worker process on a Unix socket."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dialogue import Dialogue, ask_for_predictions
from targets.base import PEERS, Command, Scene, peer_python


class Mosec:
    """``plain`` leaves JSON to the standard library, as mosec does unless it is told otherwise."""

    scenarios: Sequence[str] = ("tiny", "tiny-batched")
    packages: Sequence[str] = ("mosec", "msgspec", "numpy")

    def __init__(self, *, plain: bool) -> None:
        self.name = "mosec-plain" if plain else "mosec"
        json = (
            "JSON by the standard library, as it has it"
            if plain
            else "JSON decoded, validated and encoded by msgspec through its serialisation hooks"
        )
        self.tuning = (
            f"one worker process; {json}; batched: up to 32 within 1 ms, the shortest wait it takes; log level warning"
        )
        self._plain = "1" if plain else ""

    def python(self) -> Path:
        return peer_python("mosec")

    def commands(self, scene: Scene) -> Sequence[Command]:
        server = PEERS / "mosec" / "mosec_server.py"
        where = ["--address", "127.0.0.1", "--port", str(scene.port), "--path", str(scene.folder / "mosec")]
        limits = ["--timeout", "30000", "--log-level", "warning"]
        return [
            Command(
                [self.python(), server, *where, *limits],
                {"BATCHED": "1" if scene.batched else "", "PLAIN": self._plain},
            )
        ]

    def dialogue(self, scenario: str) -> Dialogue:
        return ask_for_predictions()

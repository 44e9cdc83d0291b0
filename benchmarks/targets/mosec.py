"""mosec: a Rust front (hyper, tokio) and Python worker processes on Unix sockets, one for each stage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dialogue import Dialogue, ask_for_predictions
from pictures import PICTURES, ask_for_bands
from targets.base import PEERS, Command, Scene, peer_python


def mosec(server: str, scene: Scene) -> list[str | Path]:
    """The command that serves one of mosec's files here."""
    where = ["--address", "127.0.0.1", "--port", str(scene.port), "--path", str(scene.folder / "mosec")]
    limits = ["--timeout", "30000", "--log-level", "warning"]
    return [peer_python("mosec"), PEERS / "mosec" / server, *where, *limits]


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
        environment = {"BATCHED": "1" if scene.batched else "", "PLAIN": self._plain}
        return [Command(mosec("mosec_server.py", scene), environment)]

    def dialogue(self, scenario: str) -> Dialogue:
        return ask_for_predictions()


class MosecStages:
    """The picture scenarios: files of /dev/shm between its stages were tried, and cost more than its sockets."""

    name = "mosec"
    scenarios: Sequence[str] = tuple(PICTURES)
    packages: Sequence[str] = ("mosec", "pillow", "numpy")
    tuning = (
        "three stages of one process each for the pipeline, one behind the front for the relay; tensors travel as their "
        "bytes instead of pickles, through its serialisation hooks; log level warning"
    )

    def python(self) -> Path:
        return peer_python("mosec")

    def commands(self, scene: Scene) -> Sequence[Command]:
        return [Command(mosec("mosec_pictures.py", scene), {"SCENARIO": scene.scenario})]

    def dialogue(self, scenario: str) -> Dialogue:
        return ask_for_bands(scenario)

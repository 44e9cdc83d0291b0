"""granian: a Rust HTTP server. Echoing a body from its RSGI interface is the least that a Python handler costs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dialogue import Dialogue, ask_for_echo
from targets.base import PEERS, Command, Scene, peer_python


class GranianEcho:
    name = "granian-echo"
    scenarios: Sequence[str] = ("echo", "fused")
    packages: Sequence[str] = ("granian", "uvloop")
    tuning = "RSGI, uvloop, one worker, one runtime thread, HTTP/1 only, no WebSockets; sends the body back unread"

    def python(self) -> Path:
        return peer_python("granian")

    def commands(self, scene: Scene) -> Sequence[Command]:
        app = ["--interface", "rsgi", "--working-dir", str(PEERS / "granian"), "granian_echo:app"]
        where = ["--host", "127.0.0.1", "--port", str(scene.port), "--log-level", "warning"]
        how = ["--loop", "uvloop", "--http", "1", "--no-ws", "--workers", "1", "--runtime-threads", "1"]
        return [Command([self.python().parent / "granian", *app, *where, *how])]

    def dialogue(self, scenario: str) -> Dialogue:
        return ask_for_echo()

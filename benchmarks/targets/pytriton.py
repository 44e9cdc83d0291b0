"""PyTriton: NVIDIA's Triton server as the front, and a process with Python callables behind it."""

from __future__ import annotations

import sysconfig
from collections.abc import Sequence
from pathlib import Path

import msgspec

from dialogue import Dialogue
from pictures import PICTURES, TENSOR_SHAPE, ask_for_bands
from targets.base import PEERS, Command, Scene, peer_python

INFER = "/v2/models/model/infer"
HEAD_BYTES = 192
"""All heads are filled up to this length, which a header of HTTP must tell."""


class PyTriton:
    name = "pytriton"
    scenarios: Sequence[str] = tuple(PICTURES)
    packages: Sequence[str] = ("nvidia-pytriton", "pillow", "numpy")
    tuning = (
        "Open Inference Protocol with binary tensors over REST, gRPC and metrics off, no batching; one Python callable "
        "that does all"
    )

    def python(self) -> Path:
        return peer_python("pytriton")

    def commands(self, scene: Scene) -> Sequence[Command]:
        environment = {
            "PORT": str(scene.port),
            "SCENARIO": scene.scenario,
            "PYTRITON_HOME": str(scene.folder),
            # Triton's own process loads a Python, too: the one that made the environment, not the system's.
            "LD_LIBRARY_PATH": sysconfig.get_config_var("LIBDIR"),
        }
        return [Command([self.python(), PEERS / "pytriton" / "pytriton_pictures.py"], environment)]

    def dialogue(self, scenario: str) -> Dialogue:
        return ask_for_bands(
            scenario,
            INFER,
            at=("outputs", 0, "data", 0),
            wrap=as_bytes if scenario == "pipeline" else as_tensor,
            headers=f"inference-header-content-length: {HEAD_BYTES}\r\n",
        )


def as_bytes(data: bytes) -> bytes:
    """An inference request with one input of unsigned bytes."""
    return _binary(data, "UINT8", [len(data)])


def as_tensor(data: bytes) -> bytes:
    """An inference request with one tensor of floats."""
    return _binary(data, "FP32", TENSOR_SHAPE)


def _binary(data: bytes, datatype: str, shape: Sequence[int]) -> bytes:
    parameters = {"binary_data_size": len(data)}
    tensor = {"name": "x", "shape": shape, "datatype": datatype, "parameters": parameters}
    return msgspec.json.encode({"inputs": [tensor]}).ljust(HEAD_BYTES) + data

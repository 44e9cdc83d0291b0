"""What a gateway says of its models."""

from __future__ import annotations

import msgspec


class ModelState(msgspec.Struct, frozen=True):
    """A model that there is. ``version`` is the release; ``state`` is READY or UNAVAILABLE, with a ``reason``."""

    name: str
    version: str = ""
    state: str = ""
    reason: str = ""


class TensorMetadata(msgspec.Struct, frozen=True):
    """An input or output of a model; an extent of -1 is any."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(msgspec.Struct, frozen=True):
    """What a model takes and gives; its one version is the release that is served."""

    name: str
    versions: list[str] = []
    platform: str = ""
    inputs: list[TensorMetadata] = []
    outputs: list[TensorMetadata] = []

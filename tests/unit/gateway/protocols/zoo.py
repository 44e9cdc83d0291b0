"""An app whose services have every kind of tensor that a method can take and give; all of them live in the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

import kapelle
from kapelle.declare.apps import app_spec
from kapelle.gateway.exposure import Exposed, exposed_methods
from kapelle.gateway.protocols.model_endpoint import Common
from kapelle.gateway.protocols.models import Model, by_name, models_of
from kapelle.gateway.protocols.regions import Regions
from kapelle.gateway.protocols.statistics import Statistics
from kapelle.observe.metrics import Registry

Vector = NDArray[np.float32]
Rows = Annotated[Vector, kapelle.Tensor("n", 4)]


@dataclass
class Parts:
    """Two tensors."""

    total: Annotated[Vector, kapelle.Tensor("n")]
    words: list[str]


class Named(msgspec.Struct):
    """A scalar and an array."""

    count: int
    values: Vector


@kapelle.service(inline=True)
class Doubler:
    @kapelle.batched(max_size=8)
    def double(self, x: Rows) -> Annotated[Vector, kapelle.Tensor("n", 4, name="y")]:
        return x * np.float32(2)


@kapelle.service(inline=True)
class Animals:
    """Each method is a kind of its own."""

    @kapelle.method
    def both(self, a: Vector, words: list[str], scale: float = 2.0) -> Parts:
        return Parts((a.reshape(len(a), -1).sum(axis=1) * scale).astype(np.float32), [one.upper() for one in words])

    @kapelle.method
    def echo(self, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return x

    @kapelle.method
    def half(
        self, x: Annotated[Vector, kapelle.Tensor("n", datatype="BF16")]
    ) -> Annotated[Vector, kapelle.Tensor("n", datatype="BF16")]:
        return x / np.float32(2)

    @kapelle.method
    def pair(self, x: Annotated[NDArray[np.int32], kapelle.Tensor(2)]) -> tuple[int, bool]:
        return int(x[0]), bool(x[1])

    @kapelle.method
    def named(self, flags: list[bool]) -> Named:
        return Named(len(flags), np.array(flags, np.float32))

    @kapelle.batched(max_size=4)
    def embed(self, texts: list[str]) -> Vector:
        return np.stack([np.full(3, len(one), np.float32) for one in texts])

    @kapelle.batched()
    def sizes(self, rows: list[Annotated[Vector, kapelle.Tensor(2)]]) -> list[int]:
        return [int(row.sum()) for row in rows]

    @kapelle.method
    def raw(self, data: bytes) -> bytes:
        return data[::-1]

    @kapelle.method
    def bad(self, x: Vector) -> Vector:
        return cast(Vector, np.zeros(3, np.complex64))

    @kapelle.method
    def plain(self, options: dict[str, int]) -> int:
        raise NotImplementedError

    @kapelle.method
    async def stream(self, x: Vector) -> AsyncIterator[Vector]:
        yield x


@kapelle.app
class Zoo:
    """The animals and nothing else."""

    doubler: Doubler
    animals: Animals

    @kapelle.get("/")
    async def visit(self) -> str:
        return "welcome"


@kapelle.service(sharded_by="index")
class Cage:
    def __init__(self, shard: Path) -> None: ...

    @kapelle.method
    def look(self, x: Vector) -> Vector:
        raise NotImplementedError


@kapelle.app
class Cages:
    cage: kapelle.Sharded[Cage]

    @kapelle.get("/")
    async def visit(self) -> str:
        raise NotImplementedError


def exposed(app: type = Zoo) -> list[Exposed]:
    spec = app_spec(app)
    assert spec is not None
    return exposed_methods(spec)


NOWHERE = Regions(Path("/nowhere"))


def common() -> Common:
    """What the endpoints of a test have in common."""
    return Common(30.0, 1 << 20, Registry(), Statistics(), NOWHERE)


MODELS: dict[str, Model] = by_name(models_of(exposed()))
"""All models of the zoo, by all their names."""


def function_of(name: str) -> Any:
    """What calls the model of that name on plain instances."""
    app = Zoo.__new__(Zoo)
    app.doubler, app.animals = Doubler(), Animals()
    return MODELS[name].exposed.function(app)

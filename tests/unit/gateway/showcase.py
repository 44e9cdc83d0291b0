"""An app with one endpoint for each way of taking input and giving answers."""

import enum
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec
import numpy as np
import pydantic
from numpy.typing import NDArray

import kapelle


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


class Match(msgspec.Struct):
    """A question that was found."""

    question: str
    score: float
    vector: NDArray[np.float32] | None = None


@dataclass
class Box:
    """A rectangle."""

    width: int
    height: int = 2
    labels: list[str] = field(default_factory=list)


class Circle(msgspec.Struct, tag=True):
    radius: float


class Square(msgspec.Struct, tag=True):
    side: float


class Item(pydantic.BaseModel):
    """A thing with things in it."""

    name: str = pydantic.Field(min_length=1)
    size: int = pydantic.Field(default=1, ge=0)
    parts: list["Item"] = []

    @pydantic.computed_field  # type: ignore[prop-decorator]  # pydantic's own way to write it
    @property
    def weight(self) -> int:
        return self.size + sum(part.weight for part in self.parts)


@kapelle.service
class Scaler:
    @kapelle.method
    def scale(self, values: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(np.nan_to_num(values * np.float32(factor)), np.float32)


@kapelle.app
class Showcase:
    """Everything an endpoint can be.

    Nothing of it is useful.
    """

    scaler: Scaler

    @kapelle.post("/search")
    async def search(
        self,
        instances: Annotated[list[str], msgspec.Meta(min_length=1, examples=[["Why so serious?"]])],
        probes: Annotated[int, msgspec.Meta(ge=1, le=64)] = 2,
        nearest: bool = True,
        farthest: float = float("inf"),
    ) -> list[Match]:
        """Find the nearest questions.

        It asks a few clusters.

        Args:
            instances: what to look for;
                at least one.
            probes: clusters to ask.

        Returns:
            One match for each instance.
        """
        vector = np.ones(2, np.float32) if nearest else None
        return [Match(one, 1.0 / probes, vector) for one in instances]

    @kapelle.post("/box", timeout="5s")
    async def stretch(self, box: Box, factor: kapelle.Query[int] = 1) -> Box:
        """Stretch a box."""
        return Box(box.width * factor, box.height, box.labels)

    @kapelle.post("/shape")
    async def area(self, shape: Circle | Square, unit: Literal["m", "cm"] = "m") -> dict[str, float]:
        return {unit: shape.radius**2 * 3.14 if isinstance(shape, Circle) else shape.side**2}

    @kapelle.post("/item")
    async def item(self, item: Item) -> Item:
        return item

    @kapelle.post("/scaled/{factor}")
    async def scaled(self, factor: int, values: NDArray[np.float32]) -> NDArray[np.float32]:
        return await self.scaler.scale(values, float(factor % 8))

    @kapelle.get("/scaled/{name}")
    async def described(
        self,
        name: str,
        colour: Colour,
        count: int | None = None,
        tags: list[int] = [],  # noqa: B006 - the gateway copies defaults
        loud: bool = False,
    ) -> str:
        return f"{name} {colour} {count} {tags} {loud}"

    @kapelle.post("/form")
    async def form(
        self,
        image: kapelle.Upload,
        more: list[kapelle.Upload] = [],  # noqa: B006 - as above
        title: str = "untitled",
        boxes: list[Box] = [],  # noqa: B006 - as above
    ) -> dict[str, int]:
        """Take files.

        Args:
            image: the picture.
        """
        return {"bytes": len(image.data) + sum(len(one.data) for one in more), title: len(boxes)}

    @kapelle.post("/raw")
    async def raw(self, data: bytes) -> bytes:
        return data

    @kapelle.post("/stream")
    async def stream(self, text: str, count: Annotated[int, msgspec.Meta(ge=0, le=5)] = 3) -> AsyncIterator[Match]:
        """Send matches one by one."""
        for number in range(count):
            yield Match(text, float(number))

    @kapelle.get("/nothing")
    async def nothing(self) -> None:
        return None

    @kapelle.get("/either")
    async def either(self, form: Literal["text", "bytes", "json"] = "json") -> str | bytes | Match:
        if form == "json":
            return Match(form, 0.5)
        return form if form == "text" else form.encode()

"""Every way a request can carry the arguments of an endpoint."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal

import httpx
import msgspec
import numpy as np
import pydantic
import pytest
from numpy.typing import NDArray

import kapelle
from tests.integration.http.client import post
from tests.integration.http.serving import Served, serving


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Point(msgspec.Struct):
    x: float
    y: float = 0.0


@dataclass
class Job:
    name: str
    points: list[Point]


class Person(pydantic.BaseModel):
    name: str
    age: int = pydantic.Field(ge=0)


@kapelle.app
class Inputs:
    """One endpoint per kind of input; each answers with what it got."""

    @kapelle.post("/fields")
    async def fields(self, instances: list[str], count: int = 3, probes: int | None = None) -> list[Any]:
        return [instances, count, probes]

    @kapelle.post("/defaults")
    async def defaults(self, count: int = 3, names: list[str] = []) -> list[Any]:  # noqa: B006 - copied per request
        names.append("mine")
        return [count, names]

    @kapelle.post("/struct")
    async def struct(self, point: Point) -> list[float]:
        return [point.x, point.y]

    @kapelle.post("/dataclass")
    async def dataclass(self, job: Job) -> list[Any]:
        return [job.name, [[one.x, one.y] for one in job.points]]

    @kapelle.post("/pydantic")
    async def pydantic(self, person: Person) -> Person:
        return person

    @kapelle.post("/models")
    async def models(self, person: Person, points: list[Point]) -> list[Any]:
        return [person.name, len(points)]

    @kapelle.post("/array")
    async def array(self, rows: NDArray[np.float32], small: NDArray[np.int8] | None = None) -> list[Any]:
        return [rows.dtype.name, list(rows.shape), rows * 2]

    @kapelle.post("/raw")
    async def raw(self, image: bytes) -> bytes:
        return image[::-1]

    @kapelle.post("/form")
    async def form(
        self,
        photos: list[kapelle.Upload],
        title: str,
        mask: kapelle.Upload | None = None,
        tags: list[str] = [],  # noqa: B006 - copied per request
        size: int = 0,
        where: Point | None = None,
    ) -> dict[str, Any]:
        return {
            "photos": [[one.filename, one.content_type, len(one.data)] for one in photos],
            "mask": None if mask is None else len(mask.data),
            "title": title,
            "tags": tags,
            "size": size,
            "where": where,
        }

    @kapelle.get("/query")
    async def query(
        self,
        text: str,
        number: int = 1,
        share: float = 0.5,
        flag: bool = False,
        colour: Colour = Colour.RED,
        mode: Literal["fast", "slow"] = "fast",
        names: list[str] = [],  # noqa: B006 - copied per request
        flags: list[bool] | None = None,
        limit: int | None = None,
    ) -> list[Any]:
        return [text, number, share, flag, colour, mode, names, flags, limit]

    @kapelle.post("/both")
    async def both(self, instances: list[int], scale: kapelle.Query[int] = 1) -> list[int]:
        return [one * scale for one in instances]

    @kapelle.get("/shards/{shard}/items/{name}")
    async def item(self, shard: int, name: str, upper: bool = False) -> list[Any]:
        return [shard, name.upper() if upper else name]

    @kapelle.get("/nothing")
    async def nothing(self) -> None:
        return None


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(Inputs) as system:
        yield system


@pytest.fixture
async def http(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with served.http() as client:
        yield client


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/fields", b'{"instances": ["a", "b"]}', [["a", "b"], 3, None]),
        ("/fields", b' {"count": 7, "probes": 2, "instances": []} ', [[], 7, 2]),
        ("/fields", '{"instances": ["größer", "\\u00fc", "日本"]}'.encode(), [["größer", "ü", "日本"], 3, None]),
        ("/defaults", b"", [3, ["mine"]]),
        ("/defaults", b"{}", [3, ["mine"]]),
        ("/defaults", b'{"names": ["a"]}', [3, ["a", "mine"]]),
        ("/struct", b'{"x": 1}', [1.0, 0.0]),
        ("/struct", b'{"x": 1, "y": -2.5, "more": "is ignored by this model"}', [1.0, -2.5]),
        ("/dataclass", b'{"name": "n", "points": [{"x": 1}, {"x": 2, "y": 3}]}', ["n", [[1.0, 0.0], [2.0, 3.0]]]),
        ("/pydantic", b'{"name": "Ada", "age": 36}', {"name": "Ada", "age": 36}),
        ("/models", b'{"person": {"name": "Ada", "age": 36}, "points": [{"x": 1}]}', ["Ada", 1]),
        ("/array", b'{"rows": [[1, 2], [3, 4.5]]}', ["float32", [2, 2], [[2, 4], [6, 9]]]),
        ("/array", b'{"rows": []}', ["float32", [0], []]),
        ("/array", b'{"rows": [[]], "small": [127, -128]}', ["float32", [1, 0], [[]]]),
        ("/both?scale=3", b'{"instances": [1, 2]}', [3, 6]),
        ("/both", b'{"instances": [1, 2]}', [1, 2]),
    ],
)
async def test_json_bodies(http: httpx.AsyncClient, path: str, body: bytes, expected: Any) -> None:
    answer = await http.post(path, content=body)
    assert (answer.status_code, answer.json()) == (200, expected)
    assert answer.headers["content-type"] == "application/json"


async def test_defaults_are_not_shared_between_requests(http: httpx.AsyncClient) -> None:
    for _ in range(2):
        assert (await http.post("/defaults")).json() == [3, ["mine"]]


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "application/json", "text/plain", "nonsense"]
)
async def test_json_needs_no_content_type(served: Served, content_type: str) -> None:
    client = await served.connect()
    answer = await client.ask(post("/fields", b'{"instances":["x"]}', f"Content-Type: {content_type}"))
    assert (answer.status, answer.json) == (200, [["x"], 3, None])


async def test_raw_bodies(http: httpx.AsyncClient) -> None:
    body = bytes(range(256)) * 300
    answer = await http.post("/raw", content=body, headers={"content-type": "image/png"})
    assert answer.content == body[::-1]
    assert answer.headers["content-type"] == "application/octet-stream"
    assert (await http.post("/raw")).content == b""


async def test_forms(http: httpx.AsyncClient) -> None:
    answer = await http.post(
        "/form",
        data={"title": "zwei Fotos, größer", "tags": ["a", "b"], "size": "7", "where": '{"x": 1}'},
        files=[
            ("photos", ("ä.png", b"\x89PNG\r\n--not a boundary", "image/png")),
            ("photos", ("b.png", b"", "image/png")),
            ("mask", ("m.bin", b"\x00" * 5000)),
        ],
    )
    assert answer.json() == {
        "photos": [["ä.png", "image/png", 22], ["b.png", "image/png", 0]],
        "mask": 5000,
        "title": "zwei Fotos, größer",
        "tags": ["a", "b"],
        "size": 7,
        "where": {"x": 1.0, "y": 0.0},
    }


async def test_form_fields_may_be_left_out(http: httpx.AsyncClient) -> None:
    answer = await http.post("/form", data={"title": "t"}, files=[("photos", ("a", b"1"))])
    expected = {"photos": [["a", "application/octet-stream", 1]], "mask": None, "title": "t"}
    assert answer.json() == expected | {"tags": [], "size": 0, "where": None}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("text=a", ["a", 1, 0.5, False, "red", "fast", [], None, None]),
        ("text=", ["", 1, 0.5, False, "red", "fast", [], None, None]),
        ("text=null&limit=null", ["null", 1, 0.5, False, "red", "fast", [], None, None]),
        ("text=a+b%20c%26d&number=-2&share=1e3", ["a b c&d", -2, 1000.0, False, "red", "fast", [], None, None]),
        ("flag=true&text=%C3%BC", ["ü", 1, 0.5, True, "red", "fast", [], None, None]),
        ("text=a&flag=0&colour=blue&mode=slow", ["a", 1, 0.5, False, "blue", "slow", [], None, None]),
        (
            "text=a&names=x&names=y&flags=1&flags=false&limit=9",
            ["a", 1, 0.5, False, "red", "fast", ["x", "y"], [True, False], 9],
        ),
    ],
)
async def test_queries(http: httpx.AsyncClient, query: str, expected: list[Any]) -> None:
    answer = await http.get(f"/query?{query}")
    assert (answer.status_code, answer.json()) == (200, expected)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/shards/3/items/a", [3, "a"]),
        ("/shards/3/items/a?upper=1", [3, "A"]),
        ("/shards/3/items/a%20b%C3%BC%2Fc%25", [3, "a bü/c%"]),
        ("/%73hards/3/items/..", [3, ".."]),
    ],
)
async def test_path_parameters(served: Served, path: str, expected: list[Any]) -> None:
    client = await served.connect()
    answer = await client.ask(f"GET {path} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
    assert (answer.status, answer.json) == (200, expected)


async def test_paths_are_found_however_they_are_encoded(http: httpx.AsyncClient, served: Served) -> None:
    client = await served.connect()
    for target in ("/nothing", "/%6eothing", "/nothing?", "http://elsewhere/nothing", "http://elsewhere/nothing?"):
        answer = await client.ask(f"GET {target} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
        assert (target, answer.status, answer.body) == (target, 200, b"null")

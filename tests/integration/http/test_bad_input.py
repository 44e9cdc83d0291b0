"""What does not fit is refused with a problem that names the place, and never reaches the app."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import numpy as np
import pydantic
import pytest
from numpy.typing import NDArray

import kapelle
from tests.integration.http.client import get, post
from tests.integration.http.serving import Served, serving


class Item(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    sizes: list[int] = []


class Person(pydantic.BaseModel):
    name: str
    ages: list[int] = []


@kapelle.app
class Strict:
    """Endpoints that count how often they were reached."""

    reached = 0

    @kapelle.post("/fields")
    async def fields(self, instances: list[float], count: int = 1) -> None:
        self.reached += 1

    @kapelle.post("/anything")
    async def anything(self, data: Any) -> None:
        self.reached += 1

    @kapelle.post("/item")
    async def item(self, item: Item) -> None:
        self.reached += 1

    @kapelle.post("/people")
    async def people(self, people: list[Person]) -> None:
        self.reached += 1

    @kapelle.post("/array")
    async def array(self, rows: NDArray[np.float32], bytes_: NDArray[np.uint8] | None = None) -> None:
        self.reached += 1

    @kapelle.post("/nonempty")
    async def nonempty(self, instances: list[str]) -> str:
        if not instances:
            raise kapelle.InvalidInput("expected at least one instance", path="$.instances")
        return instances[0]

    @kapelle.post("/form")
    async def form(
        self, file: kapelle.Upload, note: str = "", sizes: list[int] | None = None, item: Item | None = None
    ) -> None:
        self.reached += 1

    @kapelle.post("/words")
    async def words(self, text: str) -> AsyncIterator[str]:
        self.reached += 1
        yield text

    @kapelle.get("/query/{shard}")
    async def query(self, shard: int, share: float, flag: bool = False, numbers: list[float] | None = None) -> None:
        self.reached += 1


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(Strict, max_body=20_000) as system:
        yield system
        assert system.assembly.app.reached == 0


@pytest.fixture
async def http(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with served.http() as client:
        yield client


def problem_of(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The problem body, checked for what RFC 9457 and we ask of every one."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert body["type"].startswith("urn:kapelle:error:")
    assert body["request_id"] == answer.headers["x-request-id"]
    return body


@pytest.mark.parametrize(
    ("path", "body", "where", "detail"),
    [
        ("/fields", b'{"instances": [1, "2"]}', "$.instances[1]", "Expected `float`, got `str`"),
        ("/fields", b'{"instances": 1}', "$.instances", "Expected `array`, got `int`"),
        ("/fields", b'{"instances": null}', "$.instances", "Expected `array`, got `null`"),
        ("/fields", b'{"instances": [], "count": 1.5}', "$.count", "Expected `int`, got `float`"),
        ("/fields", b'{"instances": [], "count": true}', "$.count", "Expected `int`, got `bool`"),
        ("/fields", b'{"instances": [1e999]}', "$.instances[0]", "Number out of range"),
        ("/fields", b"{}", "$.instances", "missing required field `instances`"),
        ("/fields", b'{"instances": [], "cuont": 1}', "$.cuont", "unknown field `cuont`"),
        ("/fields", b"[1]", "$", "Expected `object`, got `array`"),
        ("/item", b'{"sizes": []}', "$.name", "missing required field `name`"),
        ("/item", b'{"name": "a", "sizes": [1, null]}', "$.sizes[1]", "Expected `int`, got `null`"),
        ("/item", b'{"name": "a", "size": 1}', "$.size", "unknown field `size`"),
        ("/people", b'{"people": [{"name": "a"}, {"ages": []}]}', "$.people[1].name", "Field required"),
        ("/people", b'{"people": [{"name": "a", "ages": [1, "x"]}]}', "$.people[0].ages[1]", "valid integer"),
        ("/array", b'{"rows": [[1, 2], [3]]}', "$.rows", "rectangular"),
        ("/array", b'{"rows": [1, "2"]}', "$.rows", "numbers only"),
        ("/array", b'{"rows": [1, null]}', "$.rows", "numbers only"),
        ("/array", b'{"rows": {"0": 1}}', "$.rows", "got dict"),
        ("/array", b'{"rows": [1e39]}', "$.rows", "out of range for float32"),
        ("/array", b'{"rows": [1], "bytes_": [256]}', "$.bytes_", "out of range for uint8"),
        ("/array", b'{"rows": [1], "bytes_": [-1]}', "$.bytes_", "out of range for uint8"),
        ("/array", b'{"rows": [1], "bytes_": [1.5]}', "$.bytes_", "expected values of uint8"),
        ("/nonempty", b'{"instances": []}', "$.instances", "at least one instance"),
    ],
)
async def test_wrong_values_are_told_with_their_place(
    http: httpx.AsyncClient, path: str, body: bytes, where: str, detail: str
) -> None:
    problem = problem_of(await http.post(path, content=body), 422)
    assert problem["type"] == "urn:kapelle:error:invalid-input"
    assert [one["path"] for one in problem["errors"]] == [where]
    assert detail in problem["detail"]


@pytest.mark.parametrize("path", ["/fields", "/item", "/form", "/words"])
async def test_a_body_that_is_packed_is_told_to_be(http: httpx.AsyncClient, path: str) -> None:
    kinds = {"content-type": "multipart/form-data; boundary=b"} if path == "/form" else {}
    answer = await http.post(path, content=gzip.compress(b"{}"), headers={"content-encoding": "gzip", **kinds})
    assert problem_of(answer, 415)["detail"] == "content-encoding 'gzip' is not taken here; expected the body as it is"
    assert answer.headers["accept-encoding"] == "identity"
    answer = await http.post(path, content=b"{", headers={"content-encoding": "identity", **kinds})
    problem_of(answer, 400)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "the body is empty; expected JSON"),
        (b"{", "truncated"),
        (b'{"instances": [1,]}', "malformed"),
        (b'{"instances": [1]} x', "trailing characters"),
        (b'{"instances": [NaN]}', "malformed"),
        (b'{"instances": [Infinity, -Infinity]}', "malformed"),
        (b'{"instances": [01]}', "malformed"),
        (b"{'instances': []}", "malformed"),
        (b'\xef\xbb\xbf{"instances": []}', "malformed"),
        (b'{"inst\xff": []}', "not valid UTF-8"),
        (b"instances=1", "malformed"),
    ],
)
async def test_broken_json(http: httpx.AsyncClient, body: bytes, detail: str) -> None:
    problem = problem_of(await http.post("/fields", content=body), 400)
    assert problem["type"] == "urn:kapelle:error:malformed-body"
    assert detail in problem["detail"]


@pytest.mark.parametrize("text", [b'"\xff"', b'{"a": "\xc3"}', b'"\xed\xa0\x80"', b'"\xc0\xaf"'])
async def test_invalid_utf8_in_text(http: httpx.AsyncClient, text: bytes) -> None:
    problem = problem_of(await http.post("/anything", content=b'{"data": %b}' % text), 400)
    assert "not valid UTF-8" in problem["detail"]


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize("field", [b'{"data":', b'{"other":'])
async def test_deep_nesting(http: httpx.AsyncClient, opening: bytes, field: bytes) -> None:
    answer = await http.post("/anything", content=field + opening * 3000)
    problem = problem_of(answer, 400 if field == b'{"data":' else 422)
    # Python 3.12 and newer go deeper, and find that there is no end.
    assert any(text in problem["detail"] for text in ("nested too deeply", "truncated", "unknown field"))


@pytest.mark.parametrize(
    ("query", "where", "detail"),
    [
        ("/query/1", "query.share", "missing required query parameter 'share'"),
        ("/query/1?share=x", "query.share", "Expected `float`, got `str`"),
        ("/query/1?share=nan", "query.share", "finite"),
        ("/query/1?share=-inf", "query.share", "finite"),
        ("/query/1?share=1&numbers=1&numbers=nan", "query.numbers", "finite"),
        ("/query/1?share=1&numbers=1&numbers=x", "query.numbers[1]", "Expected `float`, got `str`"),
        ("/query/1?share=1&share=2", "query.share", "given 2 times"),
        ("/query/1?share=1&flag=yes", "query.flag", "expected true or false, got 'yes'"),
        ("/query/1?share=1&shrae=2", "query.shrae", "unknown query parameter 'shrae'; expected share, flag, numbers"),
        ("/query/one?share=1", "path.shard", "Expected `int`, got `str`"),
        ("/query/%ff?share=1", "path.shard", "expected UTF-8 text"),
    ],
)
async def test_wrong_values_in_the_url(served: Served, query: str, where: str, detail: str) -> None:
    client = await served.connect()
    answer = await client.ask(get(query))
    assert answer.status == 422
    assert answer.json["errors"][0]["path"] == where
    assert detail in answer.json["detail"]


@pytest.mark.parametrize("query", ["share=%ff", "share=1&%c3%28=1", "&".join(["x="] * 1001)])
async def test_queries_that_cannot_be_read(served: Served, query: str) -> None:
    client = await served.connect()
    answer = await client.ask(get(f"/query/1?{query}"))
    assert answer.status == 400
    assert "the query string cannot be read" in answer.json["detail"]


def form(*parts: bytes) -> bytes:
    return b"".join(b"--b\r\nContent-Disposition: form-data; %b\r\n" % part for part in parts) + b"--b--\r\n"


FILE = b'name="file"; filename="f"\r\n\r\nabc'


@pytest.mark.parametrize(
    ("body", "where", "detail"),
    [
        (form(b'name="note"\r\n\r\nhi'), "form.file", "missing required part 'file'"),
        (form(b'name="file"\r\n\r\nabc'), "form.file", "expected a file (a part with a filename)"),
        (form(FILE, b'name="note"; filename="n"\r\n\r\nhi'), "form.note", "expected text (a part without a filename)"),
        (form(FILE, FILE), "form.file", "expected one part 'file', got 2"),
        (form(FILE, b'name="other"\r\n\r\nhi'), "form.other", "unknown part 'other'; expected file, note, sizes, item"),
        (form(FILE, b'name="sizes"\r\n\r\n1', b'name="sizes"\r\n\r\nx'), "form.sizes[1]", "Expected `int`, got `str`"),
        (form(FILE, b'name="note"\r\n\r\n\xff'), "form.note", "expected UTF-8 text"),
        (form(FILE, b'name="item"\r\n\r\n{"name": 1}'), "form.item.name", "Expected `str`, got `int`"),
        (form(FILE, b'name="item"\r\n\r\n{"name"'), "form.item", "expected JSON: Input data was truncated"),
        (form(FILE, b'nome="note"\r\n\r\nhi'), "form", "has no name"),
        (form(FILE, *[b'name="note"\r\n\r\n1'] * 256), "form", "over 256 parts"),
    ],
)
async def test_wrong_forms(served: Served, body: bytes, where: str, detail: str) -> None:
    client = await served.connect()
    answer = await client.ask(post("/form", body, "Content-Type: multipart/form-data; boundary=b"))
    assert (answer.status, answer.json["errors"][0]["path"]) == (422, where)
    assert detail in answer.json["detail"]


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (form(FILE), "application/json", 415),
        (form(FILE), "multipart/form-data", 415),
        (form(FILE), "multipart/form-data; boundary=c", 400),
        (form(FILE)[:-10], "multipart/form-data; boundary=b", 400),
        (b"no form at all", "multipart/form-data; boundary=b", 400),
        (form(b'name="note"\r\nX: %b\r\n\r\nhi' % (b"x" * 9000)), "multipart/form-data; boundary=b", 400),
        (form(b'name="note"\r\n%b\r\nhi' % (b"x: 1\r\n" * 20)), "multipart/form-data; boundary=b", 400),
    ],
)
async def test_malformed_forms(served: Served, body: bytes, content_type: str, status: int) -> None:
    client = await served.connect()
    answer = await client.ask(post("/form", body, f"Content-Type: {content_type}"))
    assert answer.status == status


async def test_unknown_routes(http: httpx.AsyncClient) -> None:
    problem = problem_of(await http.get("/nowhere"), 404)
    assert problem["type"] == "urn:kapelle:error:not-found"
    assert "/nowhere" in problem["detail"]
    problem_of(await http.get("/query/1/2"), 404)
    problem_of(await http.get("/query/"), 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/fields", {"POST"}),
        ("PUT", "/fields", {"POST"}),
        ("DELETE", "/query/1", {"GET", "HEAD"}),
        ("POST", "/livez", {"GET", "HEAD"}),
    ],
)
async def test_wrong_methods(http: httpx.AsyncClient, method: str, path: str, allowed: set[str]) -> None:
    answer = await http.request(method, path)
    problem_of(answer, 405)
    assert set(answer.headers["allow"].split(", ")) == allowed

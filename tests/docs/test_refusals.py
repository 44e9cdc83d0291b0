"""docs/reference/errors.md lists the refusals of HTTP itself: each is provoked, and answered as it says."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

import kapelle
from kapelle.testing import MemorySystem, running
from tests.house.sources import ROOT
from tests.integration.http.serving import until

TABLE = re.compile(r"^\| (\d{3}) [\w -]+ \| `([\w-]+)` \|", re.MULTILINE)


@kapelle.app
class Target:
    @kapelle.post("/text")
    async def text(self, text: str) -> str:
        return text

    @kapelle.post("/file")
    async def file(self, file: kapelle.Upload) -> str:
        return file.filename


def post(path: str, *headers: str, body: str = "", line: str = "") -> bytes:
    lines = [line or f"POST {path} HTTP/1.1", "Host: here", *(headers or [f"Content-Length: {len(body)}"])]
    return ("\r\n".join(lines) + f"\r\n\r\n{body}").encode()


REFUSED = {
    (400, "http"): post("/text", "Content-Length: 2", "Transfer-Encoding: chunked"),
    (400, "malformed-body"): post("/text", body="{"),
    (404, "not-found"): post("/nowhere"),
    (405, "method-not-allowed"): post("", line="GET /text HTTP/1.1"),
    (408, "http"): b"POST /text HTTP/1.1\r\nHost: here\r\n",
    (413, "too-large"): post("/text", "Content-Length: 1001"),
    (414, "http"): post("/" + 9000 * "a"),
    (415, "http"): post("/file", body="{}"),
    (417, "http"): post("/text", "Expect: patience", "Content-Length: 0"),
    (429, "overloaded"): post("/text", "Content-Length: 900", body=899 * "a"),
    (431, "http"): post("/text", *(f"X-{number}: a" for number in range(101))),
    (501, "http"): post("/text", "Transfer-Encoding: gzip"),
    (503, "overloaded"): post("/text"),
    (505, "http"): post("", line="POST /text HTTP/2.0"),
}


@pytest_asyncio.fixture
async def system(request: pytest.FixtureRequest) -> AsyncIterator[MemorySystem]:
    async with running(Target, header_timeout=0.2, body_timeout=0.2, **request.param) as started:
        yield started


def test_every_refusal_of_the_table_is_provoked() -> None:
    listed = TABLE.findall((ROOT / "docs/reference/errors.md").read_text())
    assert [(int(status), code) for status, code in listed] == list(REFUSED)


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        pytest.param(
            {"max_body": 1000}
            | ({"max_connections": 1} if expected == (503, "overloaded") else {})
            | ({"max_request_bytes": 2000} if expected == (429, "overloaded") else {}),
            expected,
            id="-".join(map(str, expected)),
        )
        for expected in REFUSED
    ],
    indirect=["system"],
)
async def test_it_is_answered_as_the_table_says(system: MemorySystem, expected: tuple[int, str]) -> None:
    host, port = system.url.removeprefix("http://").split(":")
    holder = await asyncio.open_connection(host, int(port)) if expected[0] == 503 else None
    arriving = [await asyncio.open_connection(host, int(port)) for _ in range(2 if expected[0] == 429 else 0)]
    for _, unfinished in arriving:
        unfinished.write(post("/text", "Content-Length: 1000", body=999 * "a"))
    await until(lambda: system.gateway.held == 999 * len(arriving))
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(REFUSED[expected])
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    assert length is not None, head
    problem = json.loads(await reader.readexactly(int(length[1])))
    assert (problem["status"], problem["type"]) == (expected[0], f"urn:kapelle:error:{expected[1]}")
    assert head.startswith(b"HTTP/1.1 %d " % expected[0])
    goes_on = expected[0] in (404, 405, 415) or expected[1] == "malformed-body"
    assert (b"connection: close" in head) is not goes_on
    for each in (writer, *([holder[1]] if holder else []), *(unfinished for _, unfinished in arriving)):
        each.close()

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import kapelle
from kapelle.bench import example
from kapelle.bench.example import request_of
from kapelle.declare.apps import AppSpec, app_spec
from kapelle.errors import ConfigError
from kapelle.testing import running


@kapelle.app
class Everything:
    @kapelle.get("/items/{name}")
    async def item(self, name: str, count: kapelle.Query[int]) -> str:
        return f"{name} {count}"

    @kapelle.post("/json")
    async def json(self, texts: list[str], probes: int = 3) -> int:
        return len(texts) + probes

    @kapelle.post("/form")
    async def form(self, files: list[kapelle.Upload], title: str) -> int:
        return len(files[0].data) + len(title)

    @kapelle.post("/raw")
    async def raw(self, body: bytes) -> int:
        return len(body)


@kapelle.app
class Readable:
    @kapelle.get("/")
    async def root(self) -> str:
        return "hello"


@kapelle.app
class Drawn:
    @kapelle.post("/draw")
    async def draw(self, file: kapelle.Upload) -> int:
        return len(file.data)


def spec_of(app: Any) -> AppSpec:
    spec = app_spec(app)
    assert spec is not None
    return spec


@pytest.mark.parametrize("endpoint", [None, "/items/{name}", "/json", "POST /form", "/raw"])
async def test_the_app_answers_the_request_that_was_made_up(endpoint: str | None) -> None:
    pytest.importorskip("PIL")
    request = request_of(spec_of(Everything), endpoint, None)
    assert request is not None
    async with running(Everything) as system:
        answer = await system.client.request(
            request.method,
            request.target,
            content=bytes(request.body),
            headers={"content-type": request.content_type},
        )
    assert answer.status_code == 200, answer.text


def test_takes_the_first_post_and_else_a_get() -> None:
    for app, expected in ((Everything, "/json"), (Readable, "/")):
        request = request_of(spec_of(app), None, None)
        assert request is not None
        assert request.target == expected


@pytest.mark.parametrize("endpoint", ["/json", "/form", "/raw"])
def test_a_file_is_the_body_or_what_is_uploaded(tmp_path: Path, endpoint: str) -> None:
    file = tmp_path / "body"
    file.write_bytes(b"these very bytes")
    request = request_of(spec_of(Everything), endpoint, file)
    assert request is not None
    assert b"these very bytes" in bytes(request.body)


def test_an_endpoint_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r"no endpoint '/other'; there is GET /$"):
        request_of(spec_of(Readable), "/other", None)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        request_of(spec_of(Drawn), None, tmp_path / "missing")


def test_without_pillow_there_is_no_picture_to_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(example, "find_spec", lambda _: None)
    assert request_of(spec_of(Drawn), None, None) is None
    with pytest.raises(ConfigError, match=r"no request to /draw can be made up; give its body with --request FILE"):
        request_of(spec_of(Drawn), "/draw", None)


def test_the_picture_is_always_the_same() -> None:
    pytest.importorskip("PIL")
    assert example.picture() == example.picture()

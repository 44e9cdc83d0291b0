"""``kapelle.asgi``: what it takes, and that it lives as long as its host lets it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

import kapelle
from kapelle.errors import ArtifactError, ConfigError, DeclarationError


@kapelle.service(artifact="words")
class Words:
    def __init__(self, artifact: Path) -> None:
        self.words = (artifact / "list.txt").read_text().split()

    @kapelle.method
    def word(self, index: int) -> str:
        return self.words[index]


@kapelle.app
class App:
    words: Words

    @kapelle.post("/word")
    async def word(self, index: int, *, note: str = "") -> str:
        return await self.words.word(index)


@kapelle.app
class Broken:
    @kapelle.on_startup
    async def start(self) -> None:
        raise ValueError("cannot start")

    @kapelle.get("/")
    async def root(self) -> None: ...


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "list.txt").write_text("one two")
    return tmp_path


def client(application: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://site")


async def test_it_answers_while_it_runs_and_may_run_again(artifacts: Path) -> None:
    mounted = kapelle.asgi(App, artifacts=str(artifacts), max_body="20", drain_timeout="1s")
    for _ in range(2):
        async with mounted.running(), client(mounted) as http:
            assert (await http.post("/word", json={"index": 1})).text == "two"
            assert (await http.post("/word", json={"index": 1, "note": "much too long"})).status_code == 413


async def test_artifacts_lie_beside_the_app_as_elsewhere() -> None:
    mounted = kapelle.asgi(App)
    with pytest.raises(ArtifactError, match=str(Path(__file__).parent / "artifacts")):
        async with mounted.running():
            pytest.fail("it has started")


async def test_a_failed_start_fails_the_host() -> None:
    mounted = kapelle.asgi(Broken)
    with pytest.raises(ValueError, match="cannot start"):
        async with mounted.running():
            pytest.fail("it has started")
    with pytest.raises(RuntimeError, match="not started"):
        await client(mounted).get("/")


def test_only_apps_can_be_mounted() -> None:
    with pytest.raises(DeclarationError, match=r"Words'> is not an app; declare it with @kapelle\.app"):
        kapelle.asgi(Words)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"port": 80}, "kapelle.asgi: 'port' is no setting of a mounted app; it has request_timeout, max_body"),
        ({"max_bdy": 1}, "'max_bdy' is no setting of a mounted app"),
        ({"request_timeout": "soon"}, "kapelle.asgi: request_timeout = 'soon': 'soon' is not a duration"),
        ({"max_body": 0}, "kapelle.asgi: max_body = 0: Expected `int` >= 1"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        kapelle.asgi(App, **settings)

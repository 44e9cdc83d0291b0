"""Both apps on Docker Compose, from the files that are generated: up, scaled, crashed, published, updated, and gone."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.containers.deployed import Deployed
from tests.containers.docker import Docker
from tests.integration.processes.load import Load

pytestmark = pytest.mark.timeout(300)

QUESTION = "How do you tell a five-year-old that the dog has died?"
SAME = 0.99
RATE = 20.0  # requests per second: the machine also starts containers meanwhile


def things(docker: Docker) -> list[str]:
    """What a system leaves if it leaves anything: containers, networks, volumes."""
    listed = (("ps", "--all", "--quiet"), ("network", "ls", "--quiet"), ("volume", "ls", "--quiet"))
    return [docker(*each) for each in listed]


def is_found(number: int, answer: bytes) -> bool:
    """Whether the question was found among those of the corpus, whichever way these are clustered."""
    found = json.loads(answer)
    return bool(found["match"] == QUESTION and found["matches"][0]["score"] >= SAME)


def question(number: int) -> bytes:
    return json.dumps({"instances": [QUESTION]}).encode()


def load(system: Deployed, *, forgiving: bool = False) -> Load:
    return Load(system.url, RATE, "/process", is_found, question, forgiving)


def release_of(system: Deployed) -> str:
    """The release that answers."""
    with urllib.request.urlopen(f"{system.url}/process", question(0)) as answer:
        return str(answer.headers["x-kapelle-release"])


@pytest.fixture(scope="module")
def search(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """Question search, with one encoder."""
    before = things(docker)
    project = tmp_path_factory.mktemp("search")
    system = Deployed(docker, project, "question_search", 18180, "--scale", "Encoder=1")
    try:
        system.up()
        yield system
    finally:
        system.down()
    assert things(docker) == before


async def test_scaled_up_and_down_under_load(search: Deployed) -> None:
    async with load(search) as asking:
        await asyncio.to_thread(search.scale, encoder=3, gateway=3)
        assert len(search.compose.containers("gateway")) == 3
        encoders = search.compose.containers("encoder")
        assert len(encoders) == 3
        await asking.more(60)
        assert all([await asyncio.to_thread(search.calls, each) for each in encoders])
        await asyncio.to_thread(search.scale, encoder=1, gateway=1)
        await asking.more(20)
    assert len(search.compose.containers("encoder")) == 1
    asking.check()


@pytest.mark.parametrize("service", ["encoder", "cluster"])
async def test_a_killed_replica_costs_no_request(search: Deployed, service: str) -> None:
    await asyncio.to_thread(search.scale, **{service: 2})
    async with load(search) as asking:
        await asyncio.to_thread(search.crash, search.compose.containers(service)[0])
        await asking.more(20)
    asking.check()


async def test_a_killed_gateway_costs_no_request_that_is_repeated(search: Deployed) -> None:
    await asyncio.to_thread(search.scale, gateway=2)
    async with load(search, forgiving=True) as asking:
        await asyncio.to_thread(search.crash, search.compose.containers("gateway")[0])
        await asking.more(20)
    asking.check()


async def test_a_release_is_published_under_load(search: Deployed) -> None:
    build = ("kapelle", "release", "build", search.target, "--seed", "1")
    search.compose("run", "--rm", "--no-deps", "release", *build, timeout=120)
    async with load(search) as asking:
        publish = ("exec", "--no-TTY", "controller", "kapelle", "release", "publish", "r2")
        await asyncio.to_thread(search.compose, *publish)
        await asking.more(20)
    asking.check()
    assert await asyncio.to_thread(release_of, search) == "r2"


async def test_code_is_updated_under_load(search: Deployed) -> None:
    before = search.compose.containers("gateway")
    search.code.write_text(search.code.read_text() + "\n# Another version of this file.\n")
    async with load(search) as asking:
        await asyncio.to_thread(search.up)
        await asking.more(20)
    asking.check()
    assert not set(before) & set(search.compose.containers("gateway"))


async def test_broken_code_takes_no_traffic(search: Deployed) -> None:
    before = search.compose.containers()
    code = search.code.read_text()
    search.code.write_text(f'{code}\nraise RuntimeError("this version does not start")\n')
    async with load(search) as asking:
        outcome = await asyncio.to_thread(search.try_up)
        await asking.more(20)
    search.code.write_text(code)
    asking.check()
    assert outcome.status != 0
    assert "this version does not start" in outcome.last_lines
    assert set(search.compose.containers()) == set(before)


def test_the_same_again_changes_nothing(search: Deployed) -> None:
    search.up()
    before = search.compose.containers()
    search.up()
    assert search.compose.containers() == before


def test_its_tests_are_a_job_of_ci(search: Deployed) -> None:
    ended = search.compose.attempt("run", "--rm", "--no-deps", "tests", timeout=120)
    assert ended.status == 0, ended.last_lines
    assert "4 passed" in ended.output


def test_a_port_in_use_is_told_before_anything_starts(search: Deployed, docker: Docker, tmp_path: Path) -> None:
    before = things(docker)
    port = urlsplit(search.url).port
    assert port is not None
    outcome = Deployed(docker, tmp_path, "image_pipeline", port).try_up()
    assert outcome.status != 0
    assert f"port {port} is in use on this machine" in outcome.last_lines
    assert things(docker) == before


def test_the_image_pipeline_is_tested_from_nothing(docker: Docker, tmp_path: Path) -> None:
    before = things(docker)
    system = Deployed(docker, tmp_path, "image_pipeline", 18280)
    system.write()
    system.build()
    try:
        job = ("--profile", "tests", "up", "--abort-on-container-exit", "--exit-code-from", "tests")
        ended = system.compose.attempt(*job, timeout=200)
        assert ended.status == 0, ended.last_lines
        assert "passed" in ended.output
    finally:
        system.down()
    assert things(docker) == before

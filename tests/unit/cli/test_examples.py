from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

import kapelle
from kapelle.cli.examples import curl_line
from kapelle.declare.apps import app_spec
from kapelle.testing import running


class Question(msgspec.Struct):
    text: str
    count: int = 3


@kapelle.app
class Fields:
    @kapelle.post("/ask")
    async def ask(self, instances: list[str], probes: int = 3) -> int:
        return len(instances) + probes


@kapelle.app
class Model:
    @kapelle.post("/ask")
    async def ask(self, question: Question) -> int:
        return question.count


@kapelle.app
class Arrays:
    @kapelle.post("/predict")
    async def predict(self, flower: Annotated[list[float], msgspec.Meta(min_length=4)], other: NDArray[np.int8]) -> int:
        return len(flower)


@kapelle.app
class Quoted:
    @kapelle.post("/ask")
    async def ask(self, text: Annotated[str, msgspec.Meta(examples=["who's there?"])]) -> str:
        return text


@kapelle.app
class InPath:
    @kapelle.post("/of/{city}/ask")
    async def ask(self, city: str, day: kapelle.Query[int], text: str) -> str:
        return f"{city}{day}{text}"


@kapelle.app
class Get:
    @kapelle.post("/file")
    async def file(self, file: kapelle.Upload) -> str:
        return file.filename

    @kapelle.get("/find")
    async def find(self, text: str, tags: list[str], most: int = 3) -> str:
        return text


@kapelle.app
class Files:
    @kapelle.post("/file")
    async def file(self, file: kapelle.Upload, count: int = 3) -> str:
        return file.filename


@kapelle.app
class Stream:
    @kapelle.post("/count")
    async def count(self, to: int) -> AsyncIterator[int]:
        for number in range(to):
            yield number


@kapelle.app
class Raw:
    @kapelle.post("/image")
    async def image(self, data: bytes) -> int:
        return len(data)


def line(app: type, url: str = "http://here") -> str:
    spec = app_spec(app)
    assert spec is not None
    return curl_line(spec, url)


def test_shows_what_must_be_given() -> None:
    assert line(Fields) == """curl -d '{"instances": ["text"]}' http://here/ask"""


def test_streams_are_shown_as_they_come() -> None:
    assert line(Stream) == """curl -N -d '{"to": 1}' http://here/count"""


def test_takes_a_get_where_nothing_takes_json() -> None:
    assert line(Get) == "curl 'http://here/find?text=text&tags=text'"


def test_takes_files_where_there_is_nothing_else() -> None:
    assert line(Files) == "curl -F file=@FILE http://here/file"


def test_says_nothing_where_there_is_no_example() -> None:
    assert line(Raw) == ""


@pytest.mark.parametrize("app", [Fields, Model, Arrays, Quoted, InPath, Get, Stream])
async def test_the_line_is_answered(app: type) -> None:
    async with running(app) as system:
        command, *arguments = shlex.split(line(app, system.url))
        curl = await asyncio.create_subprocess_exec(
            command, "--fail-with-body", "--silent", "--show-error", *arguments, stdout=asyncio.subprocess.PIPE
        )
        answer, _ = await curl.communicate()
    assert curl.returncode == 0, answer

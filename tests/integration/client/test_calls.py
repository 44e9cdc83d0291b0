"""Every call of both clients, against a running system."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydantic
import pytest

from kapelle.client import ModelState
from kapelle.errors import CallError, ContractError, DeadlineExceeded, InvalidInput, UserCodeError
from kapelle.testing import MemorySystem
from tests.integration.client.either import Either, collected
from tests.integration.client.gallery import Greeting, Token


@dataclass
class Written:
    """A greeting as somebody else may have it."""

    text: str
    times: int


class Modelled(pydantic.BaseModel):
    text: str
    times: int


@pytest.mark.parametrize(
    "body", [{"text": "hi", "times": 2}, Greeting("hi", 2), Written("hi", 2), Modelled(text="hi", times=2)]
)
async def test_endpoints_take_whatever_has_fields(client: Either, body: object) -> None:
    assert await client.ask("post", "/greet", body) == ["hi", "hi"]
    assert await client.ask("post", "/greet", body, returns=tuple[str, ...]) == ("hi", "hi")


async def test_endpoints_with_other_bodies(client: Either, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_bytes(b"four")
    assert await client.ask("get", "/sum", query={"numbers": [1, 2], "plus": True, "none": None}) == 4
    assert await client.ask("get", "/sum", query={"numbers": np.arange(4)}, returns=int) == 6
    assert await client.ask("get", "/text") == "größe"
    assert await client.ask("post", "/reverse", b"\x00\xff") == b"\xff\x00"
    files = {"file": tmp_path / "note.txt", "more": [b"1", ("two.bin", b"22")]}
    given = {"title": "a title", "sizes": [1, 2]}
    assert await client.ask("post", "/files", given, files=files) == [
        "note.txt:4",
        "more:1",
        "two.bin:2",
        "a title",
        "3",
    ]


async def test_methods_of_services(client: Either) -> None:
    assert await client.ask("call", "Encoder.embed", sentences=["eel"]) == [[3, 2, 1]]
    assert await client.ask("call", "Encoder", {"sentences": ["a"]}, returns=list[list[float]]) == [[1, 0, 1]]
    assert await client.ask("call", "Scaler.reverse", b"abc") == b"cba"
    answer = await client.ask(
        "call", "Scaler.scale", values=np.array([1, 2], np.float32), factor=3, options={"timeout": "5s"}
    )
    assert answer == [3, 6]


async def test_inferences(client: Either) -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    found = await client.ask("infer", "Scaler.scale", {"values": values, "factor": 3.0})
    np.testing.assert_array_equal(found["output"], values * 3)
    assert found["output"].dtype == np.float32
    found = await client.ask("infer", "Scaler.name", {"words": ["one", "größe"]}, outputs=["output"])
    assert [one.decode() for one in found["output"]] == ["ONE", "GRÖSSE"]


async def test_the_fields_other_protocols(client: Either) -> None:
    rows = await client.ask("embed", "Encoder", ["eel", "a"])
    assert rows.dtype == np.float32
    assert rows.tolist() == [[3, 2, 1], [1, 0, 1]]
    assert await client.ask("predict", "Encoder", ["eel", "a"]) == [[3, 2, 1], [1, 0, 1]]
    assert await client.ask("predict", "Encoder", ["eel"], returns=list[tuple[float, float, float]]) == [(3, 2, 1)]


async def test_what_there_is(client: Either) -> None:
    models = await client.ask("models")
    assert ModelState("Encoder.embed", "local", "READY") in models
    metadata = await client.ask("metadata", "Scaler.scale")
    assert [one.name for one in metadata.inputs] == ["values", "factor"]
    assert metadata.outputs[0].datatype == "FP32"
    assert await client.ask("ready")
    assert await client.ask("live")


async def test_streams(client: Either) -> None:
    expected = [Token("once", 0), Token("upon", 1)]
    assert await collected(client.stream("/write", {"prompt": "once upon"}, item=Token)) == (expected, None)
    assert await collected(client.stream("Writer.write", {"prompt": "once upon"}, item=Token)) == (expected, None)
    assert await collected(client.stream("/write", {"prompt": "a"})) == ([{"word": "a", "index": 0}], None)


async def test_a_stream_that_fails_gives_its_items_and_then_the_error(client: Either) -> None:
    items, error = await collected(client.stream("/write", {"prompt": "all fail"}, item=Token))
    assert items == [Token("all", 0)]
    assert isinstance(error, UserCodeError)


async def test_a_stream_that_is_refused_has_no_items(client: Either) -> None:
    items, error = await collected(client.stream("/write", {"prompt": 1}))
    assert items == []
    assert isinstance(error, InvalidInput)
    assert error.path == "$.prompt"


async def test_items_of_another_type(client: Either) -> None:
    items, error = await collected(client.stream("/write", {"prompt": "a"}, item=int))
    assert items == []
    assert isinstance(error, ContractError)


async def test_closing_a_stream_ends_the_work(client: Either, system: MemorySystem) -> None:
    async with aclosing(client.stream("/endless")) as items:
        assert await anext(items) == 0
    await system.app.left.wait()


async def test_a_deadline_ends_a_stream(client: Either, system: MemorySystem) -> None:
    items, error = await collected(client.stream("/endless", timeout="200ms"))
    assert items == [0]
    assert isinstance(error, DeadlineExceeded)
    await system.app.left.wait()


async def test_a_deadline_ends_a_call_and_the_work(client: Either, system: MemorySystem) -> None:
    with pytest.raises(DeadlineExceeded, match=r"no answer within 0.2 s \(request [\w-]+\)"):
        await client.ask("post", "/hang", timeout="200ms")
    await system.app.left.wait()


async def test_errors_are_those_of_the_gateway(client: Either) -> None:
    headers = {"x-request-id": "my-1"}
    with pytest.raises(InvalidInput, match=r"\(request my-1\)") as refused:
        await client.ask("post", "/greet", {"text": "hi", "times": "two"}, headers=headers)
    assert refused.value.path == "$.times"
    with pytest.raises(InvalidInput) as refused:
        await client.ask("infer", "Scaler.scale", {"values": np.arange(3)})
    assert refused.value.path == "inputs[0].datatype"
    with pytest.raises(InvalidInput) as refused:
        await client.ask("embed", "Encoder", ["a", ""])
    assert refused.value.path == "input[1]"
    with pytest.raises(CallError, match="unknown model 'Painter'"):
        await client.ask("metadata", "Painter")
    with pytest.raises(CallError, match="nothing is served at /nowhere"):
        await client.ask("get", "/nowhere")


async def test_answers_of_another_type(client: Either) -> None:
    with pytest.raises(ContractError, match=r"Expected `int`, got `str` \(at \$\[0\]\)"):
        await client.ask("post", "/greet", {"text": "hi"}, returns=list[int])


async def test_what_json_cannot_hold_is_not_sent(client: Either) -> None:
    with pytest.raises(InvalidInput, match=r"the body holds NaN at \$\.factor"):
        await client.ask("call", "Scaler.scale", values=[1], factor=float("nan"))

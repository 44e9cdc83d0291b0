"""Handles are called as the services themselves would be."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import kapelle
from kapelle.declare.apps import Sharded, app_spec
from kapelle.declare.services import service_spec
from kapelle.errors import CallError, InvalidInput, Overloaded
from kapelle.gateway.handles import attach, inline_handle
from kapelle.wire import messages
from tests.unit.gateway.puppets import RELEASE, Stage, arguments, in_request, stage


@kapelle.service
class Service:
    @kapelle.method
    def plain(self, vector: list[float], count: int = 3, exact: bool = False) -> list[Any]:
        raise NotImplementedError

    @kapelle.method
    def nothing(self) -> list[Any]:
        raise NotImplementedError

    @kapelle.batched(max_size=4)
    def double(self, rows: list[int]) -> list[int]:
        raise NotImplementedError

    @kapelle.batched(max_size=4)
    def embed(self, rows: list[str]) -> NDArray[np.float32]:
        raise NotImplementedError

    @kapelle.method
    async def items(self, up_to: int = 5) -> AsyncIterator[int]:
        yield up_to


@kapelle.service(max_queue=7)
class Small:
    @kapelle.batched(max_size=4)
    def double(self, rows: list[int]) -> list[int]:
        raise NotImplementedError


class Plain:
    """The same without any decoration, for what Python itself says."""

    def plain(self, vector: list[float], count: int = 3, exact: bool = False) -> None: ...


# --- arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "kwargs", "expected"),
    [
        (([1.0], 2, True), {}, [[1.0], 2, True]),
        (([1.0],), {}, [[1.0], 3, False]),
        (([1.0], 2), {}, [[1.0], 2, False]),
        (([1.0],), {"exact": True}, [[1.0], 3, True]),
        ((), {"exact": True, "vector": [1.0]}, [[1.0], 3, True]),
    ],
)
async def test_arguments_are_bound_as_python_binds_them(
    args: tuple[Any, ...], kwargs: dict[str, Any], expected: list[Any]
) -> None:
    async with stage(Service) as one:
        one.puppets[0].answer = arguments
        assert await one.handle.plain(*args, **kwargs) == expected


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        (([1.0], 2, True, 4), {}),
        (([1.0],), {"vector": [1.0]}),
        (([1.0],), {"wrong": 1}),
        ((), {"count": 1}),
    ],
    ids=["missing", "too many", "twice", "unknown", "first missing"],
)
async def test_wrong_arguments_are_the_type_error_they_are_in_python(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    with pytest.raises(TypeError) as expected:
        inspect.signature(Plain().plain).bind(*args, **kwargs)
    async with stage(Service) as one:
        with pytest.raises(TypeError) as caught:
            one.handle.plain(*args, **kwargs)
        assert str(caught.value) == f"Service.plain() {expected.value}"
        with pytest.raises(TypeError, match=r"Service\.items\(\)"):
            one.handle.items(1, 2)
        assert one.puppets[0].calls == []


async def test_what_cannot_travel_is_refused_where_it_is_said() -> None:
    async with stage(Service) as one:
        for call in (one.handle.plain, one.handle.double, one.handle.items):
            with pytest.raises(InvalidInput, match="cannot travel"):
                call(object())


async def test_a_service_that_is_no_attribute_is_none() -> None:
    async with stage(Service) as one:
        with pytest.raises(AttributeError, match="triple"):
            _ = one.handle.triple
        assert repr(one.handle) == "<handle of Service>"


# --- batched methods --------------------------------------------------------------------------------------------------


def double(call: messages.Call) -> list[int]:
    rows = arguments(call)
    assert len(rows) == call.rows
    return [2 * row for row in rows]


def embed(call: messages.Call) -> Any:
    return np.asarray([[len(row), call.rows] for row in arguments(call)], np.float32)


async def test_one_row_brings_one_result() -> None:
    async with stage(Service) as one:
        one.puppets[0].answer = double
        assert await one.handle.double(5) == 10
        one.puppets[0].answer = embed
        vector = await one.handle.embed("abc")
        assert (vector.tolist(), vector.dtype) == ([3.0, 1.0], np.float32)


@pytest.mark.parametrize("count", [0, 1, 4, 5, 8, 30])
async def test_many_rows_travel_in_parts_and_come_back_in_order(count: int) -> None:
    async with stage(Service, replicas=2) as one:
        for puppet in one.puppets:
            puppet.answer = double
        assert await one.handle.double.many(list(range(count))) == [2 * number for number in range(count)]
        sizes = sorted((call.rows for puppet in one.puppets for call in puppet.calls), reverse=True)
        assert sizes == [4] * (count // 4) + [count % 4] * bool(count % 4)


@pytest.mark.parametrize("count", [0, 3, 9])
async def test_many_arrays_come_back_as_one(count: int) -> None:
    async with stage(Service) as one:
        one.puppets[0].answer = embed
        vectors = await one.handle.embed.many(["x" * number for number in range(count)])
        assert isinstance(vectors, np.ndarray)
        assert (len(vectors), vectors.dtype) == (count, np.float32)
        assert [int(vector[0]) for vector in vectors] == list(range(count))


async def test_rows_may_be_an_array() -> None:
    async with stage(Service) as one:
        one.puppets[0].answer = double
        assert await one.handle.double.many(np.arange(6)) == [0, 2, 4, 6, 8, 10]


async def test_many_rows_leave_places_for_others() -> None:
    async with stage(Service, replicas=2) as one:
        waiting = asyncio.create_task(one.handle.double.many(list(range(400))))
        for puppet in one.puppets:
            await puppet.called()
        await settle()
        assert sum(len(puppet.calls) for puppet in one.puppets) == 4, "one part to work on and one that waits"
        for puppet in one.puppets:
            puppet.answer = double
            for call in puppet.calls:
                puppet.done(call, double(call))
        assert await waiting == [2 * number for number in range(400)]


async def test_many_rows_do_not_fill_a_replica_that_has_room_for_few() -> None:
    async with stage(Small) as one:
        (puppet,) = one.puppets
        waiting = asyncio.create_task(one.handle.double.many(list(range(40))))
        await puppet.called()
        await settle()
        assert len(puppet.calls) == 1, "a second part would be refused, if it came before the first is begun"
        puppet.answer = double
        puppet.done(puppet.calls[0], double(puppet.calls[0]))
        assert await waiting == [2 * number for number in range(40)]


async def test_one_part_that_fails_stops_the_others() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        waiting = asyncio.create_task(one.handle.double.many(list(range(40))))
        call = await puppet.called(2)
        puppet.failed(call, Overloaded.code)
        with pytest.raises(Overloaded):
            await waiting
        await puppet.until(lambda: puppet.cancelled == [puppet.calls[0].ticket])
        await settle()
        await one.at_rest()


async def test_a_caller_of_many_that_goes_away_stops_all_parts() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        waiting = asyncio.create_task(one.handle.double.many(list(range(40))))
        await puppet.called(2)
        waiting.cancel()
        await puppet.until(lambda: len(puppet.cancelled) == 2)
        await one.at_rest()


async def test_parts_belong_to_the_request_of_their_caller() -> None:
    async with stage(Service) as one:
        one.puppets[0].answer = double
        in_request("r9")
        await one.handle.double.many(list(range(12)))
        assert [call.request for call in one.puppets[0].calls] == ["r9"] * 3


# --- streams ----------------------------------------------------------------------------------------------------------


async def test_a_stream_is_iterated() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets

        async def play() -> None:
            call = await puppet.called()
            assert arguments(call) == [5]
            for number in range(3):
                puppet.item(call, number, number)
            puppet.done(call, 3)

        playing = asyncio.create_task(play())
        assert [item async for item in one.handle.items()] == [0, 1, 2]
        await playing
        await one.at_rest()


# --- apps -------------------------------------------------------------------------------------------------------------


@kapelle.service(sharded_by="index")
class Cluster:
    @kapelle.method
    def find(self, word: str) -> list[Any]:
        raise NotImplementedError


@kapelle.service(inline=True)
class Inline:
    def __init__(self) -> None:
        self.calls = 0

    @kapelle.method
    def plain(self, left: int, right: int = 2) -> int:
        self.calls += 1
        return left + right

    @kapelle.method
    async def wait(self, value: int) -> int:
        return value

    @kapelle.batched()
    def double(self, rows: list[int]) -> list[int]:
        return [2 * row for row in rows]

    @kapelle.method
    async def items(self, up_to: int) -> AsyncIterator[int]:
        for number in range(up_to):
            yield number

    @kapelle.method
    def fail(self) -> None:
        raise CallError("on purpose")


@kapelle.app
class App:
    service: Service
    cluster: Sharded[Cluster]
    inline: Inline

    @kapelle.post("/")
    async def run(self) -> None: ...


async def test_an_app_gets_its_handles_by_annotation() -> None:
    plain, sharded = Stage(Service), Stage(Cluster, shards=3)
    spec = app_spec(App)
    assert spec is not None
    inline = inline_handle(service_spec(Inline) or pytest.fail("no spec"), Inline())
    app = App()
    attach(app, spec, RELEASE, {"Service": plain.pool, "Cluster": sharded.pool}, {"Inline": inline})
    await plain.add()
    await sharded.add(1, [0, 1, 2])
    plain.puppets[0].answer = arguments
    sharded.puppets[0].answer = lambda call: [call.shard, *arguments(call)]
    assert await app.service.plain([1.0]) == [[1.0], 3, False]
    assert len(app.cluster) == 3
    assert await app.cluster.shard(1).find("a") == [1, "a"]
    assert await asyncio.gather(*(cluster.find("b") for cluster in app.cluster)) == [[0, "b"], [1, "b"], [2, "b"]]
    with pytest.raises(IndexError):
        app.cluster.shard(3)
    assert await app.inline.plain(1) == 3
    await plain.pool.close()
    await sharded.pool.close()


async def test_inline_services_are_called_without_a_hop() -> None:
    spec = service_spec(Inline)
    assert spec is not None
    instance = Inline()
    handle: Any = inline_handle(spec, instance)
    assert await handle.plain(1) == 3
    assert await handle.plain(left=1, right=1) == 2
    assert instance.calls == 2
    assert await handle.wait(5) == 5
    assert await handle.double(4) == 8
    assert await handle.double.many([1, 2]) == [2, 4]
    assert [item async for item in handle.items(3)] == [0, 1, 2]
    with pytest.raises(TypeError):
        await handle.plain()
    with pytest.raises(CallError, match="on purpose"):
        await handle.fail()


async def settle() -> None:
    """Let everything run that is due."""
    for _ in range(20):
        await asyncio.sleep(0)

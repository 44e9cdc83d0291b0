"""Methods of services as endpoints."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import kapelle
from kapelle.errors import InvalidInput
from kapelle.gateway.methods import MethodEndpoint, method_endpoints, paths
from kapelle.observe.metrics import Registry
from tests.unit.gateway.protocols.zoo import Cages, Zoo, exposed, function_of
from tests.unit.gateway.recorder import make_request

ENDPOINTS: dict[str, MethodEndpoint] = {one.spec.name: one for one in method_endpoints(exposed(Zoo), 30.0, Registry())}


def test_each_method_has_a_path_below_its_service() -> None:
    by_name = {one.name: one for one in exposed()}
    assert paths(by_name["Animals.echo"]) == ["/services/animals/echo", "/services/Animals/echo"]
    assert paths(by_name["Doubler.double"]) == [
        "/services/doubler/double",
        "/services/Doubler/double",
        "/services/doubler",
        "/services/Doubler",
    ]
    assert [one.path for one in ENDPOINTS["Animals.echo"].routes] == paths(by_name["Animals.echo"])


async def test_arguments_are_fields_and_rows_are_a_list() -> None:
    request = make_request("POST", b"/", b'{"x": [[1, 2, 3, 4]]}')
    found = await ENDPOINTS["Doubler.double"].begin(function_of("Doubler"), request, {})
    assert found.tolist() == [[2.0, 4.0, 6.0, 8.0]]
    request = make_request("POST", b"/", b'{"texts": ["a", "bc"]}')
    found = await ENDPOINTS["Animals.embed"].begin(function_of("Animals.embed"), request, {})
    assert found.tolist() == [[1.0] * 3, [2.0] * 3]


def form(*names: str) -> bytes:
    part = '--b\r\nContent-Disposition: form-data; name="{0}"; filename="{0}"\r\n\r\n{0}\r\n'
    return ("".join(part.format(name) for name in names) + "--b--\r\n").encode()


MULTIPART = (b"content-type", b"multipart/form-data; boundary=b")


async def test_raw_bytes_come_as_they_are_or_as_a_file() -> None:
    raw, function = ENDPOINTS["Animals.raw"], function_of("Animals.raw")
    assert await raw.begin(function, make_request("POST", b"/", b"abc"), {}) == b"cba"
    assert await raw.begin(function, make_request("POST", b"/", form("abc"), MULTIPART), {}) == b"cba"
    with pytest.raises(InvalidInput, match="expected one file, got 2"):
        await raw.begin(function, make_request("POST", b"/", form("a", "b"), MULTIPART), {})


@kapelle.service
class Scribe:
    @kapelle.method
    async def weigh(self, sound: memoryview) -> int:
        return len(sound)

    @kapelle.method
    async def write(self, sound: bytes) -> AsyncIterator[bytes]:
        yield sound


@kapelle.app
class Office:
    scribe: Scribe

    @kapelle.get("/")
    async def index(self) -> str:
        return ""


async def test_a_file_is_read_from_wherever_the_form_lies_and_as_often_as_it_is_asked_for() -> None:
    weigh, write = method_endpoints(exposed(Office), 30.0, Registry())
    sent = form("abc")
    for upload in (
        make_request("POST", b"/", sent, MULTIPART),
        make_request("POST", b"/", sent, (b"content-type", b'Multipart/Form-Data; boundary="b"')),
        make_request("POST", b"/", b"", MULTIPART),
    ):
        if not upload.body:
            upload.room = memoryview(sent)  # as the front keeps large ones
        for _ in "once", "and for a mirror":
            assert await weigh.begin(Scribe().weigh, upload, {}) == 3
            assert [part async for part in write.begin_stream(Scribe().write, upload, {})] == [b"abc"]


def test_shards_are_named_in_the_query() -> None:
    (endpoint,) = method_endpoints(exposed(Cages), 30.0, Registry())
    assert [one.name for one in endpoint.inputs.query] == ["shard"]


def test_streams_stream() -> None:
    assert ENDPOINTS["Animals.stream"].spec.streams
    assert not ENDPOINTS["Animals.echo"].spec.streams

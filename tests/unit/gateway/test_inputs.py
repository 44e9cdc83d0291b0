"""What an endpoint's annotations ask for, and which declarations cannot be served."""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import kapelle
from kapelle.declare.apps import EndpointSpec, HttpMethod
from kapelle.declare.parameters import signature_of
from kapelle.errors import DeclarationError
from kapelle.gateway.inputs import Inputs, is_model, is_text, is_upload, unwrapped
from kapelle.gateway.problems import HttpError
from tests.unit.gateway.recorder import make_request


class Struct(msgspec.Struct):
    a: int


@dataclass
class Data:
    a: int


class Model(pydantic.BaseModel):
    a: int


class Colour(enum.Enum):
    RED = "red"


def inputs(function: Any, method: HttpMethod = "POST", path: str = "/x") -> Inputs:
    signature = signature_of(function)
    return Inputs(EndpointSpec(method, path, function.__name__, function, signature, False, None, ""))


# --- kinds ------------------------------------------------------------------------------------------------------------


async def nothing(self: Any) -> None: ...
async def fields(self: Any, a: int, b: list[str]) -> None: ...
async def one_list(self: Any, instances: list[int]) -> None: ...
async def struct(self: Any, item: Struct) -> None: ...
async def data(self: Any, item: Data) -> None: ...
async def optional(self: Any, item: Model | None = None) -> None: ...
async def two_models(self: Any, one: Model, two: Struct) -> None: ...
async def array(self: Any, rows: NDArray[np.float32]) -> None: ...
async def raw(self: Any, body: bytes) -> None: ...
async def file(self: Any, file: kapelle.Upload, note: str = "") -> None: ...
async def files(self: Any, files: list[kapelle.Upload]) -> None: ...
async def mixed(self: Any, x: str, body: bytes, limit: kapelle.Query[int] = 3) -> None: ...


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (nothing, "none"),
        (fields, "json"),
        (one_list, "json"),
        (struct, "model"),
        (data, "model"),
        (optional, "model"),
        (two_models, "json"),
        (array, "json"),
        (raw, "raw"),
        (file, "multipart"),
        (files, "multipart"),
    ],
)
def test_the_kind_of_a_body(function: Any, kind: str) -> None:
    assert inputs(function).kind == kind


def test_where_parameters_come_from() -> None:
    found = inputs(mixed, path="/{x}")
    assert [[one.name for one in part] for part in (found.path, found.query, found.body)] == [
        ["x"],
        ["limit"],
        ["body"],
    ]
    found = inputs(fields, "GET", "/{a}")
    assert [[one.name for one in part] for part in (found.path, found.query, found.body)] == [["a"], ["b"], []]


async def raw_and_more(self: Any, body: bytes, more: int) -> None: ...
async def model_in_url(self: Any, item: Struct) -> None: ...
async def array_in_url(self: Any, rows: NDArray[np.float32]) -> None: ...
async def map_in_url(self: Any, items: dict[str, int]) -> None: ...
async def lists_in_url(self: Any, items: list[list[int]]) -> None: ...
async def list_in_path(self: Any, items: list[int]) -> None: ...
async def file_in_url(self: Any, file: kapelle.Upload) -> None: ...


@pytest.mark.parametrize(
    ("function", "method", "path"),
    [
        (raw_and_more, "POST", "/x"),
        (model_in_url, "GET", "/x"),
        (array_in_url, "GET", "/x"),
        (map_in_url, "GET", "/x"),
        (lists_in_url, "GET", "/x"),
        (list_in_path, "POST", "/{items}"),
        (file_in_url, "GET", "/x"),
    ],
)
def test_what_cannot_be_served_is_said_at_the_start(function: Any, method: HttpMethod, path: str) -> None:
    with pytest.raises(DeclarationError, match=function.__name__):
        inputs(function, method, path)


def test_is_text() -> None:
    texts: list[Any] = [str, int, float, bool, Colour, dt.date, Any, Literal["a", 1], int | None]
    texts.append(Annotated[int, msgspec.Meta(ge=1)])
    others: list[Any] = [dict, list, list[int], dict[str, int], bytes, Struct, Data, Model, np.ndarray]
    others += [NDArray[np.int8], kapelle.Upload, Struct | None, set[int], tuple[int, int]]
    assert [kind for kind in texts if not is_text(kind)] == []
    assert [kind for kind in others if is_text(kind)] == []


def test_small_questions() -> None:
    assert all(map(is_model, (Struct, Data, Model)))
    others: list[Any] = [int, list[Struct], Struct | None]
    assert not any(map(is_model, others))
    assert unwrapped(int | None) is int
    assert unwrapped(int | str | None) == int | str | None
    assert is_upload(list[kapelle.Upload])
    assert not is_upload(list[int])


# --- reading ----------------------------------------------------------------------------------------------------------


async def everything(
    self: Any, name: str, share: kapelle.Query[float], numbers: list[int], note: str | None = None
) -> None: ...


def test_all_sources_together() -> None:
    request = make_request("POST", b"/", b'{"numbers": [1, 2]}')
    request.query = b"share=0.25"
    read = inputs(everything, path="/{name}").read(request, {"name": "a%20b"})
    assert read == {"name": "a b", "share": 0.25, "numbers": [1, 2], "note": None}


async def scalars(
    self: Any,
    place: np.int64,
    share: kapelle.Query[np.float32],
    sizes: kapelle.Query[list[np.uint8]],
    level: np.int8,
    loud: np.bool_,
) -> None: ...


async def scalars_of_a_form(self: Any, file: kapelle.Upload, level: np.int8) -> None: ...


def read_scalars(*, place: str = "1", query: bytes = b"share=1&sizes=1", body: bytes = b"{}") -> dict[str, Any]:
    request = make_request("POST", b"/", body)
    request.query = query
    return inputs(scalars, path="/{place}").read(request, {"place": place})


def test_numpy_scalars_of_all_sources() -> None:
    read = read_scalars(place="-7", query=b"share=0.5&sizes=1&sizes=2", body=b'{"level": -3, "loud": true}')
    expected = {
        "place": np.int64(-7),
        "share": np.float32(0.5),
        "sizes": [np.uint8(1), np.uint8(2)],
        "level": np.int8(-3),
        "loud": np.bool_(True),
    }
    assert read == expected
    assert [type(value) for value in read.values()] == [type(value) for value in expected.values()]


@pytest.mark.parametrize(
    ("given", "path", "message"),
    [
        ({"place": "9223372036854775808"}, "path.place", "got 9223372036854775808"),
        ({"query": b"share=much&sizes=1"}, "query.share", "expected a number that float32 can hold, got 'much'"),
        ({"query": b"share=nan&sizes=1"}, "query.share", "expected a finite number, got nan"),
        ({"query": b"share=1e39&sizes=1"}, "query.share", "float32 can hold, got 1e+39"),
        ({"query": b"share=1&sizes=1&sizes=256"}, "query.sizes[1]", "from 0 to 255, got 256"),
        ({"body": b'{"level": 300, "loud": true}'}, "$.level", "expected a whole number from -128 to 127, got 300"),
        ({"body": b'{"level": "3", "loud": true}'}, "$.level", "got str"),
        ({"body": b'{"level": 3, "loud": 1}'}, "$.loud", "expected true or false, got int"),
    ],
)
def test_numpy_scalars_that_do_not_fit(given: dict[str, Any], path: str, message: str) -> None:
    with pytest.raises(kapelle.InvalidInput) as error:
        read_scalars(**given)
    assert error.value.path == path
    assert message in error.value.detail


def test_numpy_scalars_of_a_form() -> None:
    def read(level: bytes) -> dict[str, Any]:
        parts = (
            b'--b\r\ncontent-disposition: form-data; name="file"; filename="f"\r\n\r\nx\r\n'
            b'--b\r\ncontent-disposition: form-data; name="level"\r\n\r\n' + level + b"\r\n--b--\r\n"
        )
        request = make_request("POST", b"/", parts)
        request.headers.append((b"content-type", b"multipart/form-data; boundary=b"))
        return inputs(scalars_of_a_form).read(request, {})

    assert read(b"-5")["level"] == np.int8(-5)
    with pytest.raises(kapelle.InvalidInput, match="from -128 to 127, got 300") as error:
        read(b"300")
    assert error.value.path == "form.level"


@given(numbers=st.lists(st.integers(-(2**63), 2**64 - 1)), texts=st.lists(st.text()))
def test_what_json_says_is_what_arrives(numbers: list[int], texts: list[str]) -> None:
    async def function(self: Any, numbers: list[int], texts: list[str]) -> None: ...

    body = msgspec.json.encode({"texts": texts, "numbers": numbers})
    assert inputs(function).read(make_request("POST", b"/", body), {}) == {"numbers": numbers, "texts": texts}


@given(data=st.binary(max_size=200))
def test_no_bytes_get_past_as_something_else(data: bytes) -> None:
    try:
        read = inputs(fields).read(make_request("POST", b"/", data), {})
    except (kapelle.InvalidInput, HttpError):
        return
    assert msgspec.json.decode(data) == read


def test_the_fast_way_is_for_json_fields_alone() -> None:
    assert inputs(fields).decode_json is not None
    for function, path in ((struct, "/x"), (raw, "/x"), (nothing, "/x"), (everything, "/{name}")):
        assert inputs(function, path=path).decode_json is None

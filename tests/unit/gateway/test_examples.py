from __future__ import annotations

import datetime as dt
import decimal
import uuid
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kapelle.gateway.examples import example_of
from kapelle.gateway.schemas import Schemas


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string", "examples": ["hello"], "default": "x"}, "hello"),
        ({"type": "integer", "default": 7}, 7),
        ({"const": "m"}, "m"),
        ({"enum": ["red", "blue"]}, "red"),
        ({"enum": ["red", "blue"], "default": "blue"}, "blue"),
        ({"anyOf": [{"type": "null"}, {"type": "boolean"}]}, True),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 3}, [1, 1, 1]),
        ({"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}], "items": False}, ["text", 1.0]),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, {"key": 1}),
        ({"type": "string", "minLength": 6}, "text.."),
        ({"type": "string", "maxLength": 2}, "te"),
        ({"type": ["number", "boolean"]}, 1.0),
        ({}, None),
    ],
)
def test_examples(schema: dict[str, Any], value: Any) -> None:
    assert example_of(schema, Schemas()) == value


def test_fields_that_may_be_left_out_and_say_nothing_are_left_out() -> None:
    class Options(msgspec.Struct):
        name: str
        size: int = 3
        note: str | None = None

    schemas = Schemas()
    assert example_of(schemas.of(Options), schemas) == {"name": "text", "size": 3}


def test_a_model_that_holds_itself_comes_to_an_end() -> None:
    schemas = Schemas()
    reference = schemas.add(
        "Node", {"type": "object", "properties": {"next": {"$ref": "#/local/Node"}}, "required": ["next"]}
    )
    assert example_of(reference, schemas)["next"]


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ("date", dt.date),
        ("date-time", dt.datetime),
        ("decimal", decimal.Decimal),
        ("duration", dt.timedelta),
        ("time", dt.time),
        ("uuid", uuid.UUID),
    ],
)
def test_formats_are_kept(form: str, kind: type) -> None:
    msgspec.convert(example_of({"type": "string", "format": form}, Schemas()), kind)


limits = st.one_of(st.none(), st.integers(-50, 50))


@given(least=limits, span=st.integers(0, 20), above=st.booleans(), whole=st.booleans())
def test_numbers_keep_their_limits(least: int | None, span: int, above: bool, whole: bool) -> None:
    most = (least or 0) + span + 1
    meta = msgspec.Meta(gt=least, le=most) if above else msgspec.Meta(ge=least, le=most)
    annotation = Annotated[int, meta] if whole else Annotated[float, meta]
    schemas = Schemas()
    msgspec.convert(example_of(schemas.of(annotation), schemas), annotation)

"""JSON never says null where the value says something else."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pydantic
import pytest

from kapelle.errors import ContractError
from kapelle.types.strict_json import encode_json

NAN = math.nan
INFINITY = math.inf


class Score(msgspec.Struct, rename="camel"):
    name: str
    best_value: float | None = None


@dataclass
class Pair:
    left: Any
    right: Any


class Model(pydantic.BaseModel):
    values: list[float | None]


@pytest.mark.parametrize(
    ("value", "path", "name"),
    [
        (NAN, "$", "NaN"),
        ([1.0, INFINITY], "$[1]", "infinity"),
        ((None, -INFINITY), "$[1]", "-infinity"),
        ({"a": None, "b": {"c": [[0.5], [NAN]]}}, "$.b.c[1][0]", "NaN"),
        ({3: NAN}, "$.3", "NaN"),
        ({NAN}, "$[0]", "NaN"),
        ([Score("a", 1.0), Score("b", NAN)], "$[1].bestValue", "NaN"),
        (Pair(None, Pair("null", INFINITY)), "$.right.right", "infinity"),
        ({"m": Model(values=[None, NAN])}, "$.m.values[1]", "NaN"),
        (np.float32("nan"), "$", "NaN"),
        (np.float64("-inf"), "$", "-infinity"),
        ({"v": np.array([[1.0, 2.0], [3.0, np.inf]])}, "$.v[1][1]", "infinity"),
        ([msgspec.Raw(b"null"), NAN], "$[1]", "NaN"),
    ],
)
def test_a_number_that_json_lacks_is_an_error_that_names_its_place(value: Any, path: str, name: str) -> None:
    with pytest.raises(ContractError) as error:
        encode_json(value)
    assert str(error.value) == f"the result holds {name} at {path}, which JSON cannot carry"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        ("null", '"null"'),
        ([None, 1.5, "null", True], '[null,1.5,"null",true]'),
        ({"a": None, 1.5: "no"}, '{"a":null,"1.5":"no"}'),
        (Score("n"), '{"name":"n","bestValue":null}'),
        (Pair(None, b"null"), '{"left":null,"right":"bnVsbA=="}'),
        (Model(values=[None, 0.5]), '{"values":[null,0.5]}'),
        ([None, dt.date(2024, 2, 29), Decimal("NaN")], '[null,"2024-02-29","NaN"]'),
        ([msgspec.Raw(b'{"own": null}'), None], '[{"own": null},null]'),
        ([None, np.array([1.0, -2.5]), np.float32(0.5)], "[null,[1.0,-2.5],0.5]"),
    ],
)
def test_what_is_null_stays_null(value: Any, text: str) -> None:
    assert encode_json(value).decode() == text


@pytest.mark.parametrize("value", [object(), [None, 1j], np.array([complex(0, np.inf)])])
def test_a_type_that_json_cannot_carry_is_named(value: Any) -> None:
    with pytest.raises(NotImplementedError, match=r"values of type (object|complex) cannot travel"):
        encode_json(value)

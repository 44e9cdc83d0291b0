from __future__ import annotations

import pytest

from kapelle.gateway.samples import Operation, address, json_body


def parameter(name: str, place: str, example: object, *, required: bool = True) -> Operation:
    return {"name": name, "in": place, "required": required, "example": example}


def test_an_address_has_its_parameters_and_what_the_query_must_have() -> None:
    operation = {
        "parameters": [
            parameter("name", "path", "a b"),
            parameter("count", "query", 3),
            parameter("text", "query", ["x", "y"]),
            parameter("other", "query", 1, required=False),
        ]
    }
    assert address("/items/{name}", operation) == "/items/a%20b?count=3&text=x&text=y"
    assert address("/items", {}) == "/items"


@pytest.mark.parametrize(
    ("schema", "example", "expected"),
    [
        ({"properties": {"a": {}, "b": {}}, "required": ["a"]}, {"a": 1, "b": 2}, {"a": 1}),
        ({"properties": {"b": {}}}, {"b": 2}, {"b": 2}),
        ({"type": "array"}, [1, 2], [1, 2]),
    ],
)
def test_a_body_has_only_the_fields_that_it_must_have(schema: Operation, example: object, expected: object) -> None:
    content = {"application/json": {"schema": schema, "example": example}}
    assert json_body({"requestBody": {"content": content}}) == expected


def test_an_operation_without_an_example_has_no_body() -> None:
    assert json_body({}) is None

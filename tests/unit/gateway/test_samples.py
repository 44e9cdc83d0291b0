from __future__ import annotations

import pytest

from kapelle.gateway.samples import Operation, address, file_parts, json_body


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


def test_files_are_those_that_must_be_given_if_nothing_else_must() -> None:
    file, text = {"type": "string", "format": "binary"}, {"type": "string"}
    cases: list[tuple[list[str], list[str]]] = [(["a"], ["a"]), (["a", "b"], ["a", "b"]), (["a", "c"], []), ([], [])]
    for required, expected in cases:
        schema = {"properties": {"a": file, "b": file, "c": text}, "required": required}
        assert file_parts({"requestBody": {"content": {"multipart/form-data": {"schema": schema}}}}) == expected
    assert file_parts({}) == []

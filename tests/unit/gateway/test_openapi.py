from typing import Annotated, Any

import msgspec
import openapi_spec_validator
import pytest
from openapi_schema_validator import OAS31Validator

import kapelle
from kapelle.declare.apps import app_spec
from kapelle.gateway.openapi import describe
from kapelle.gateway.problems import STATUS, problem
from tests.unit.gateway.showcase import Showcase

Document = dict[str, Any]


def document_of(app: type) -> Document:
    spec = app_spec(app)
    assert spec is not None
    document: Document = msgspec.json.decode(describe(spec))
    openapi_spec_validator.validate(document)
    return document


@pytest.fixture(scope="module")
def showcase() -> Document:
    return document_of(Showcase)


def operation(document: Document, name: str) -> Document:
    found = [one for path in document["paths"].values() for one in path.values() if one["operationId"] == name]
    assert len(found) == 1
    one: Document = found[0]
    return one


def media(document: Document, name: str, kind: str = "application/json") -> Document:
    content: Document = operation(document, name)["requestBody"]["content"]
    assert list(content) == [kind]
    found: Document = content[kind]
    return found


def answer(document: Document, name: str) -> Document:
    content: Document = operation(document, name)["responses"]["200"]["content"]
    return content


def validate(document: Document, schema: Document, value: Any) -> None:
    OAS31Validator({**schema, "components": document["components"]}).validate(value)


def test_says_what_the_app_is(showcase: Document) -> None:
    assert showcase["openapi"] == "3.1.0"
    assert showcase["info"] == {
        "title": "Showcase",
        "version": kapelle.__version__,
        "summary": "Everything an endpoint can be.",
        "description": "Nothing of it is useful.",
    }


def test_the_version_may_be_the_apps_own() -> None:
    spec = app_spec(Showcase)
    assert spec is not None
    assert msgspec.json.decode(describe(spec, "7.1"))["info"]["version"] == "7.1"


def test_every_endpoint_is_described(showcase: Document) -> None:
    spec = app_spec(Showcase)
    assert spec is not None
    for endpoint in spec.endpoints:
        assert operation(showcase, endpoint.name)["responses"]["200"]["headers"].keys() == {"X-Request-Id"}


def test_docstrings_become_summaries_descriptions_and_notes(showcase: Document) -> None:
    search = operation(showcase, "search")
    assert search["summary"] == "Find the nearest questions."
    assert search["description"] == "It asks a few clusters."
    assert search["responses"]["200"]["description"] == "One match for each instance."
    fields = media(showcase, "search")["schema"]["properties"]
    assert fields["instances"]["description"] == "what to look for; at least one."
    assert fields["probes"] == {
        "type": "integer", "minimum": 1, "maximum": 64, "default": 2, "description": "clusters to ask.",
    }  # fmt: skip


def test_a_json_body_is_one_object_of_all_parameters(showcase: Document) -> None:
    schema = media(showcase, "search")["schema"]
    assert schema["required"] == ["instances"]
    assert schema["additionalProperties"] is False
    assert operation(showcase, "search")["requestBody"]["required"] is True


def test_defaults_that_json_cannot_carry_are_not_given(showcase: Document) -> None:
    assert media(showcase, "search")["schema"]["properties"]["farthest"] == {"type": "number"}


def test_examples_have_what_is_required_and_what_says_something(showcase: Document) -> None:
    assert media(showcase, "search")["example"] == {
        "instances": ["Why so serious?"], "probes": 2, "nearest": True,
    }  # fmt: skip


def test_a_model_is_the_body_itself_beside_parameters_of_the_query(showcase: Document) -> None:
    assert media(showcase, "stretch")["schema"] == {"$ref": "#/components/schemas/Box"}
    assert media(showcase, "stretch")["example"] == {"width": 1, "height": 2}
    assert operation(showcase, "stretch")["parameters"] == [
        {"name": "factor", "in": "query", "required": False, "schema": {"type": "integer", "default": 1}}
    ]


def test_unions_with_tags_say_how_to_tell_them_apart(showcase: Document) -> None:
    shape = media(showcase, "area")["schema"]["properties"]["shape"]
    assert shape["discriminator"]["mapping"] == {
        "Circle": "#/components/schemas/Circle",
        "Square": "#/components/schemas/Square",
    }


def test_pydantic_models_are_described_as_given_and_as_answered(showcase: Document) -> None:
    assert media(showcase, "item")["schema"] == {"$ref": "#/components/schemas/Item"}
    assert answer(showcase, "item")["application/json"]["schema"] == {"$ref": "#/components/schemas/ItemOutput"}
    assert "weight" not in showcase["components"]["schemas"]["Item"]["properties"]
    assert "weight" in showcase["components"]["schemas"]["ItemOutput"]["properties"]


def test_arrays_are_nested_numbers(showcase: Document) -> None:
    schema = media(showcase, "scaled")["schema"]["properties"]["values"]
    validate(showcase, schema, [[1, 2.5], [3, 4]])
    with pytest.raises(Exception, match="is not valid under any of the given schemas"):
        validate(showcase, schema, [["one"]])


def test_paths_that_differ_only_in_names_are_one(showcase: Document) -> None:
    methods = showcase["paths"]["/scaled/{factor}"]
    assert set(methods) == {"get", "post"}
    name = methods["get"]["parameters"][0]
    assert (name["name"], name["in"], name["required"]) == ("factor", "path", True)
    assert name["schema"] == {"type": "string", "minLength": 1}


def test_parameters_of_the_query(showcase: Document) -> None:
    parameters = {one["name"]: one for one in operation(showcase, "described")["parameters"]}
    assert parameters["colour"]["required"] is True
    assert parameters["colour"]["example"] == "blue"
    assert parameters["count"]["schema"] == {"type": "integer"}
    assert parameters["tags"]["schema"] == {"type": "array", "items": {"type": "integer"}, "default": []}
    assert parameters["loud"]["schema"] == {"type": "boolean", "default": False}


def test_files_are_binary_parts(showcase: Document) -> None:
    schema = media(showcase, "form", "multipart/form-data")["schema"]
    assert schema["required"] == ["image"]
    assert schema["properties"]["image"]["contentMediaType"] == "application/octet-stream"
    assert schema["properties"]["image"]["description"] == "the picture."
    assert schema["properties"]["more"]["items"]["format"] == "binary"
    assert schema["properties"]["title"] == {"type": "string", "default": "untitled"}


def test_structured_parts_of_a_form_are_json(showcase: Document) -> None:
    form = media(showcase, "form", "multipart/form-data")
    assert form["encoding"] == {"boxes": {"contentType": "application/json"}}
    assert form["schema"]["properties"]["boxes"]["items"] == {"$ref": "#/components/schemas/Box"}


def test_raw_bodies_and_answers_are_bytes(showcase: Document) -> None:
    assert media(showcase, "raw", "application/octet-stream")["schema"]["format"] == "binary"
    assert list(answer(showcase, "raw")) == ["application/octet-stream"]


def test_streams_are_events_of_items(showcase: Document) -> None:
    assert answer(showcase, "stream") == {
        "text/event-stream": {"x-item-schema": {"$ref": "#/components/schemas/Match"}}
    }
    assert "server-sent events" in operation(showcase, "stream")["responses"]["200"]["description"]


def test_answers_of_several_forms(showcase: Document) -> None:
    assert answer(showcase, "described") == {"text/plain": {"schema": {"type": "string"}}}
    assert answer(showcase, "nothing") == {"application/json": {"schema": {"type": "null"}}}
    assert set(answer(showcase, "either")) == {"text/plain", "application/octet-stream", "application/json"}


@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        ("search", {400, 413, 422, 429, 500, 502, 503, 504}),
        ("form", {400, 413, 415, 422, 429, 500, 502, 503, 504}),
        ("described", {400, 422, 429, 500, 502, 503, 504}),
        ("nothing", {400, 429, 500, 502, 503, 504}),
    ],
)
def test_refusals_that_apply(showcase: Document, name: str, statuses: set[int]) -> None:
    assert {int(status) for status in operation(showcase, name)["responses"]} == statuses | {200}


def test_every_status_of_the_error_table_is_described(showcase: Document) -> None:
    assert {str(status) for status in STATUS.values()} <= operation(showcase, "form")["responses"].keys()


def test_only_who_is_told_to_try_again_is_told_when(showcase: Document) -> None:
    responses = showcase["components"]["responses"]
    with_header = {name for name, response in responses.items() if "Retry-After" in response["headers"]}
    assert with_header == {"Overloaded", "Unavailable"}


@pytest.mark.parametrize(
    "error", [kapelle.InvalidInput("no", path="$.a"), kapelle.Overloaded(), kapelle.CallError(), ValueError("secret")]
)
def test_problems_are_as_described(showcase: Document, error: Exception) -> None:
    _, _, body = problem(error, "id-1")
    validate(showcase, {"$ref": "#/components/schemas/Problem"}, msgspec.json.decode(body))


def test_an_app_without_services_loses_no_replicas() -> None:
    @kapelle.app
    class Alone:
        @kapelle.get("/")
        async def root(self) -> int:
            return 1

    assert set(document_of(Alone)["paths"]["/"]["get"]["responses"]) == {"200", "400", "429", "500", "503", "504"}


def test_no_example_is_given_that_would_be_refused() -> None:
    class Even(msgspec.Struct):
        number: int

        def __post_init__(self) -> None:
            if self.number % 2:
                raise KeyError(self.number)

    @kapelle.app
    class Picky:
        @kapelle.post("/whole")
        async def whole(self, even: Even) -> None: ...

        @kapelle.post("/field")
        async def field(self, even: Even, other: int) -> None: ...

        @kapelle.get("/{code}")
        async def code(self, code: Annotated[str, msgspec.Meta(pattern="^[0-9]{4}$")]) -> None: ...

    document = document_of(Picky)
    assert "example" not in media(document, "whole")
    assert "example" not in media(document, "field")
    assert "example" not in operation(document, "code")["parameters"][0]


def test_a_body_that_may_be_left_out_is_not_required() -> None:
    @kapelle.app
    class Modest:
        @kapelle.post("/")
        async def root(self, text: str = "x") -> None: ...

    assert operation(document_of(Modest), "root")["requestBody"]["required"] is False

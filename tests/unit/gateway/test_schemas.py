from dataclasses import dataclass, make_dataclass
from typing import Annotated, Any, Generic, TypeVar

import msgspec
import numpy as np
import pydantic
import pytest
from numpy.typing import NDArray

from kapelle.gateway.schemas import Schemas, local
from kapelle.types.aliases import expanded

T = TypeVar("T")


class Point(msgspec.Struct, rename="camel"):
    """A place."""

    first_part: float
    weights: NDArray[np.float32] | None = None


@dataclass
class Images:
    thumbnails: list[NDArray[np.uint8]]
    masks: dict[str, NDArray[np.bool_]]
    pair: tuple[NDArray[np.int8], NDArray[np.int16]]
    anything: np.ndarray[Any, Any]


class Page(msgspec.Struct, Generic[T]):
    items: list[T]


class Leaf(msgspec.Struct):
    size: int


class Branch(msgspec.Struct):
    size: int


class Tree(pydantic.BaseModel):
    children: list["Tree"] = []
    depth: int = pydantic.Field(default=0, alias="howDeep")


class Opaque(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    values: np.ndarray[Any, Any]


class Anything:
    pass


class Odd(msgspec.Struct):
    limit: np.float32 = np.float32(1)


@pytest.fixture
def schemas() -> Schemas:
    return Schemas()


def test_structs_become_named_with_the_names_of_their_fields_on_the_wire(schemas: Schemas) -> None:
    assert schemas.of(list[Point]) == {"type": "array", "items": {"$ref": "#/components/schemas/Point"}}
    point = schemas.named["Point"]
    assert point["description"] == "A place."
    assert point["properties"]["firstPart"] == {"type": "number"}
    assert point["properties"]["weights"]["anyOf"][0] == {"$ref": "#/components/schemas/Float32Array"}


def test_arrays_are_nested_numbers_with_the_limits_of_their_dtype(schemas: Schemas) -> None:
    reference = schemas.of(expanded(NDArray[np.uint8]))
    array = schemas.resolve(reference)
    assert array["title"] == "array of uint8"
    assert array["anyOf"] == [{"type": "array", "items": reference}, {"type": "integer", "minimum": 0, "maximum": 255}]


@pytest.mark.parametrize(
    ("annotation", "element"),
    [
        (NDArray[np.bool_], {"type": "boolean"}),
        (NDArray[np.float64], {"type": "number"}),
        (np.ndarray, {"type": ["number", "boolean"]}),
        (NDArray[Any], {"type": ["number", "boolean"]}),
        (NDArray[np.complex64], {}),
    ],
)
def test_elements_of_arrays(schemas: Schemas, annotation: Any, element: Any) -> None:
    assert schemas.resolve(schemas.of(expanded(annotation)))["anyOf"][1] == element


def test_fields_say_their_dtype_where_it_is_the_only_one(schemas: Schemas) -> None:
    schemas.of(Images)
    fields = schemas.named["Images"]["properties"]

    def array(name: str) -> dict[str, str]:
        return {"$ref": f"#/components/schemas/{name}"}

    assert fields["thumbnails"]["items"] == array("Uint8Array")
    assert fields["masks"]["additionalProperties"] == array("BoolArray")
    assert fields["pair"]["prefixItems"] == [array("Array"), array("Array")]
    assert fields["anything"] == array("Array")


def test_numpy_scalars_are_numbers(schemas: Schemas) -> None:
    assert schemas.of(np.int8) == {"type": "integer", "minimum": -128, "maximum": 127, "description": "int8"}
    assert schemas.of(np.float64) == {"type": "number", "description": "float64"}


def test_constraints_and_examples_are_kept(schemas: Schemas) -> None:
    annotation = Annotated[int, msgspec.Meta(ge=1, examples=[7], description="how many")]
    assert schemas.of(annotation) == {"type": "integer", "minimum": 1, "examples": [7], "description": "how many"}


def test_generic_structs_have_names_that_openapi_takes(schemas: Schemas) -> None:
    assert schemas.of(Page[int]) == {"$ref": "#/components/schemas/Page_int_"}


def test_the_same_model_is_shared(schemas: Schemas) -> None:
    assert schemas.of(Leaf) == schemas.of(Leaf)
    assert list(schemas.named) == ["Leaf"]


def test_another_model_of_that_name_gets_a_new_one_and_who_refers_to_it_too(schemas: Schemas) -> None:
    first = make_dataclass("Item", [("size", int)])
    second = make_dataclass("Item", [("size", str)])
    holder = make_dataclass("Holder", [("item", first)])
    other_holder = make_dataclass("Holder", [("item", second)])
    assert schemas.of(holder) == {"$ref": "#/components/schemas/Holder"}
    assert schemas.of(other_holder) == {"$ref": "#/components/schemas/Holder2"}
    assert schemas.named["Holder2"]["properties"]["item"] == {"$ref": "#/components/schemas/Item2"}
    assert schemas.named["Item2"]["properties"]["size"] == {"type": "string"}
    assert schemas.named["Item"]["properties"]["size"] == {"type": "integer"}
    assert schemas.of(second) == {"$ref": "#/components/schemas/Item2"}


def test_pydantic_models_differ_between_input_and_output(schemas: Schemas) -> None:
    assert schemas.of(Tree) == {"$ref": "#/components/schemas/Tree"}
    assert schemas.of(Tree, "output") == {"$ref": "#/components/schemas/TreeOutput"}
    given, answered = schemas.named["Tree"], schemas.named["TreeOutput"]
    assert set(given["properties"]) == {"children", "howDeep"}
    assert set(answered["properties"]) == {"children", "depth"}
    assert answered["properties"]["children"]["items"] == {"$ref": "#/components/schemas/TreeOutput"}


def test_a_pydantic_model_within_a_struct(schemas: Schemas) -> None:
    schemas.of(Page[Tree])
    assert schemas.named["Page_Tree_"]["properties"]["items"]["items"] == {"$ref": "#/components/schemas/Tree"}


def test_a_pydantic_model_that_no_schema_describes_is_some_object(schemas: Schemas) -> None:
    assert schemas.resolve(schemas.of(Opaque)) == {"title": "Opaque", "type": "object"}


def test_unions_of_structs_without_tags_are_described_as_answers(schemas: Schemas) -> None:
    assert schemas.of(Leaf | Branch | None, "output") == {
        "anyOf": [
            {"$ref": "#/components/schemas/Leaf"},
            {"$ref": "#/components/schemas/Branch"},
            {"type": "null"},
        ]
    }


@pytest.mark.parametrize("annotation", [Any, Anything, Odd, dict[str, Leaf | Branch]])
def test_what_cannot_be_described_allows_everything(schemas: Schemas, annotation: Any) -> None:
    assert schemas.of(annotation, "output") == {}


def test_added_schemas_refer_to_themselves(schemas: Schemas) -> None:
    schemas.add("List", {"properties": {"next": {"$ref": local("List")}}})
    reference = schemas.add("List", {"properties": {"previous": {"$ref": local("List")}}})
    assert schemas.resolve(reference) == {"properties": {"previous": {"$ref": "#/components/schemas/List2"}}}

"""JSON schemas of annotations, as OpenAPI 3.1 wants them: models become named schemas that others refer to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import msgspec
import numpy as np

from kapelle.gateway.inputs import is_model
from kapelle.types.aliases import type_hints
from kapelle.types.arrays import annotated_dtype, is_array_type
from kapelle.types.hooks import is_pydantic

Schema = dict[str, Any]
Direction = Literal["input", "output"]
ArrayReference = Callable[[np.dtype[Any] | None], str]

REFERENCE = "#/components/schemas/"

# Names that hold until a schema takes its place among all others, where its name may be taken.
_LOCAL = "#/local/"
_SOME_ARRAY = "#/array"


class Schemas:
    """The schemas of one document. ``named`` are those that ``of`` and ``add`` refer to."""

    def __init__(self) -> None:
        self.named: dict[str, Schema] = {}

    def of(self, annotation: Any, direction: Direction = "input") -> Schema:
        """The schema of values of this type; it allows everything where JSON schema cannot say what a type means."""
        hook = partial(self._custom, direction)
        try:
            (schema,), models = msgspec.json.schema_components(
                (annotation,), schema_hook=hook, ref_template=_LOCAL + "{name}"
            )
            _tell_arrays_apart(annotation, schema, models, self._array)
        except (TypeError, NameError):
            # As results there may be types that msgspec would not read: a union of models without tags, a default value
            # that is not plain, a field whose type is not known at run time.
            members = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else ()
            return {"anyOf": [self.of(member, direction) for member in members]} if members else {}
        return self._adopt(schema, models, direction)

    def add(self, name: str, schema: Schema) -> Schema:
        """Give a schema a name; the reference to it. Where it means itself it says ``local(name)``."""
        return self._adopt({"$ref": local(name)}, {name: schema}, "input")

    def resolve(self, schema: Schema) -> Schema:
        """What ``schema`` refers to, or itself."""
        reference = schema.get("$ref")
        return schema if reference is None else self.named[reference.removeprefix(REFERENCE)]

    def _adopt(self, schema: Schema, models: dict[str, Schema], direction: Direction) -> Schema:
        """Place ``models`` among the named ones: the same one is shared, another one of that name gets a new name."""
        names = {name: name for name in models}
        others = {name: _other_names(name, direction) for name in models}
        while True:
            references = {local(name): REFERENCE + final for name, final in names.items()}
            placed = {names[name]: _replaced(model, references) for name, model in models.items()}
            taken = [name for name in names if self.named.get(names[name], placed[names[name]]) != placed[names[name]]]
            if not taken:
                break
            names[taken[0]] = next(other for other in others[taken[0]] if other not in models)
        self.named |= placed
        adopted: Schema = _replaced(schema, references)
        return adopted

    def _custom(self, direction: Direction, cls: type) -> Schema:
        """msgspec's ``schema_hook``: types that it does not know."""
        if cls is np.ndarray:
            return {"$ref": _SOME_ARRAY}
        if issubclass(cls, np.generic):
            return {**_number(np.dtype(cls)), "description": np.dtype(cls).name}
        return self._pydantic(cls, direction) if is_pydantic(cls) else {}

    def _pydantic(self, model: Any, direction: Direction) -> Schema:
        given = direction == "input"
        try:
            schema: Schema = model.model_json_schema(
                ref_template=_LOCAL + "{model}",
                mode="validation" if given else "serialization",
                by_alias=given or bool(model.model_config.get("serialize_by_alias")),
            )
        except RuntimeError:  # pydantic's own, for a field that no schema can describe
            schema = {"title": model.__name__, "type": "object"}
        models: dict[str, Schema] = schema.pop("$defs", {})
        if "$ref" in schema:  # a model that holds itself
            return self._adopt(schema, models, direction)
        name = re.sub(r"[^\w.-]", "_", model.__name__)
        return self._adopt({"$ref": local(name)}, {**models, name: schema}, direction)

    def _array(self, dtype: np.dtype[Any] | None) -> str:
        """The reference to the schema of arrays of ``dtype``: numbers nested in lists, to any depth."""
        element = {"type": ["number", "boolean"]} if dtype is None else _number(dtype)
        name = "Array" if dtype is None else f"{dtype.name.capitalize()}Array"
        schema = {
            "title": "array" if dtype is None else f"array of {dtype.name}",
            "description": "A number, or lists of numbers nested to any depth; lists of one level are equally long.",
            "anyOf": [{"type": "array", "items": {"$ref": local(name)}}, element],
            "examples": [[False, True] if dtype is not None and dtype.kind == "b" else [1, 2]],
        }
        reference: str = self.add(name, schema)["$ref"]
        return reference


def local(name: str) -> str:
    """A reference to a schema before it has its final name."""
    return _LOCAL + name


def _other_names(name: str, direction: Direction) -> Iterator[str]:
    if direction == "output":
        yield f"{name}Output"
    for number in count(2):
        yield f"{name}{number}"


def _replaced(part: Any, texts: dict[str, str]) -> Any:
    """A copy of ``part`` with each string that is one of ``texts`` replaced."""
    if isinstance(part, dict):
        return {key: _replaced(value, texts) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return [_replaced(value, texts) for value in part]
    return texts.get(part, part) if isinstance(part, str) else part


def _number(dtype: np.dtype[Any]) -> Schema:
    if dtype.kind == "b":
        return {"type": "boolean"}
    if dtype.kind in "iu":
        whole = np.iinfo(dtype)
        return {"type": "integer", "minimum": int(whole.min), "maximum": int(whole.max)}
    if dtype.kind != "f":
        return {}
    real = np.finfo(dtype)
    limits = {"minimum": float(real.min), "maximum": float(real.max)} if dtype.itemsize < 8 else {}
    return {"type": "number", **limits}


# --- dtypes -----------------------------------------------------------------------------------------------------------
# msgspec sees an ndarray where the annotation says NDArray[float32]. Where all arrays of an annotation (of a parameter,
# or of a field of a model) have the same dtype, the schema says which.


def _tell_arrays_apart(annotation: Any, schema: Schema, models: dict[str, Schema], reference: ArrayReference) -> None:
    _name_arrays(schema, annotation, reference)
    for cls, hints in _models_in(annotation, {}).items():
        # msgspec's names of components: the class's name, or where two classes share it, with the path of its module.
        path = re.sub(r"[^\w.-]", "_", f"{cls.__module__}.{cls.__qualname__}")
        properties = models.get(path, models.get(cls.__name__, {})).get("properties", {})
        encoded = {one.name: one.encode_name for one in _struct_fields(cls)}
        for field, hint in hints.items():
            if (part := properties.get(encoded.get(field, field))) is not None:
                _name_arrays(part, hint, reference)
    for model in models.values():
        _name_arrays(model, None, reference)


def _name_arrays(part: Any, annotation: Any, reference: ArrayReference) -> None:
    """Point the places of arrays within ``part``, in place, to the schema of their dtype."""
    if isinstance(part, dict):
        if part.get("$ref") == _SOME_ARRAY:
            dtypes = {annotated_dtype(one) for one in _parts(annotation) if is_array_type(one)}
            part["$ref"] = reference(dtypes.pop() if len(dtypes) == 1 else None)
        part = list(part.values())
    if isinstance(part, list | tuple):
        for value in part:
            _name_arrays(value, annotation, reference)


def _models_in(annotation: Any, found: dict[type, dict[str, Any]]) -> dict[type, dict[str, Any]]:
    """All structs and dataclasses that values of this type may hold, with the annotations of their fields."""
    for part in _parts(annotation):
        if is_model(part) and not is_pydantic(part) and part not in found:
            found[part] = type_hints(part)
            for hint in found[part].values():
                _models_in(hint, found)
    return found


def _parts(annotation: Any) -> Iterator[Any]:
    """``annotation`` and what it is made of: the arguments of generics, the members of unions."""
    yield annotation
    if not is_array_type(annotation):
        for argument in get_args(annotation):
            yield from _parts(argument)


def _struct_fields(cls: type) -> tuple[Any, ...]:
    return msgspec.structs.fields(cls) if issubclass(cls, msgspec.Struct) else ()

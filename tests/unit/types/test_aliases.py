from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import pytest
from typing_extensions import TypeAliasType

from kapelle.types.aliases import expanded, type_hints

Floats = np.ndarray[Any, np.dtype[np.float32]]


def alias(name: str, value: Any, *parameters: Any) -> Any:
    """As ``type Name[P] = value`` makes it."""
    return TypeAliasType(name, value, type_params=parameters)


Vector: Any = alias("Vector", Floats)
T = TypeVar("T")
U = TypeVar("U")
Arrays: Any = alias("Arrays", np.ndarray[Any, np.dtype[T]], T)  # type: ignore[valid-type]  # as NumPy declares NDArray
Named: Any = alias("Named", dict[U, list[T]], T, U)  # type: ignore[valid-type]  # as the statement has it
Itself: Any = alias("Itself", T, T)


@pytest.mark.parametrize(
    ("annotation", "means"),
    [
        (Vector, Floats),
        (Arrays[np.float32], Floats),
        (Named[int, str], dict[str, list[int]]),
        (Itself[Vector], Floats),
        (list[Vector], list[Floats]),
        (Vector | None, Floats | None),
        (Vector | list[Vector], Floats | list[Floats]),
        (dict[str, list[Vector] | int], dict[str, list[Floats] | int]),
        (tuple[Vector, ...], tuple[Floats, ...]),
        (AsyncIterator[Vector], AsyncIterator[Floats]),
        (Annotated[Vector, "marker", []], Annotated[Floats, "marker", []]),
    ],
)
def test_what_an_alias_names_stands_in_its_place(annotation: Any, means: Any) -> None:
    assert expanded(annotation) == means


@pytest.mark.parametrize("annotation", [int, None, Any, ..., Floats, Literal["a"], tuple[()], int | None])
def test_what_has_no_alias_stays_as_it_is(annotation: Any) -> None:
    assert expanded(annotation) is annotation


def test_an_alias_among_its_own_arguments_ends_there() -> None:
    assert expanded(Itself[list[Itself[Itself[int]]]]) == list[int]


def test_an_alias_within_its_own_value_stays() -> None:
    class TypeAliasType:
        """As of ``type Tree = dict[str, Tree]``, which is syntax from Python 3.12 on."""

        __type_params__ = ()

        @property
        def __value__(self) -> Any:
            return dict[str, self]  # type: ignore[valid-type]  # an alias of this very moment

    tree: Any = TypeAliasType()
    assert expanded(list[tree]) == list[dict[str, tree]]


def test_hints_are_those_of_functions_and_classes() -> None:
    class Model:
        vector: Vector

    def method(rows: list[Vector], size: Annotated[int, "marker"]) -> Vector: ...

    assert type_hints(Model) == {"vector": Floats}
    assert type_hints(method) == {"rows": list[Floats], "size": Annotated[int, "marker"], "return": Floats}

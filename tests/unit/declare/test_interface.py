"""Code may be mixed where callers cannot tell it apart: by what methods take and give, down to the fields of types."""

from __future__ import annotations

from dataclasses import dataclass, make_dataclass
from typing import Annotated, Any

import numpy as np
import pytest
from numpy.typing import NDArray

import kapelle
from kapelle.declare.interface import interface_of
from kapelle.declare.services import service_spec


@dataclass
class Query:
    """A question."""

    text: str
    description: str = ""
    parts: list[Query] | None = None


def look(function: Any, name: str = "Search") -> str:
    """The interface of a service with this as its method ``run``."""
    function.__name__ = "run"
    spec = service_spec(kapelle.service(type(name, (), {"run": kapelle.method(function)})))
    assert spec is not None
    return interface_of(spec)


def plain(self: Any, query: Query, count: int = 3) -> list[str]:
    return [query.text] * count


def test_what_a_method_does_is_nobodys_business() -> None:
    def other(self: Any, query: Query, count: int = 5) -> list[str]:
        """Finds it elsewhere."""
        return []

    assert look(plain) == look(other)
    assert len(look(plain)) == 12


def without_default(self: Any, query: Query, count: int) -> list[str]:
    return []


def of_another_name(self: Any, question: Query, count: int = 3) -> list[str]:
    return []


def of_another_type(self: Any, query: str, count: int = 3) -> list[str]:
    return []


def with_more(self: Any, query: Query, count: int = 3, after: int = 0) -> list[str]:
    return []


def with_other_results(self: Any, query: Query, count: int = 3) -> list[bytes]:
    return []


@pytest.mark.parametrize("function", [without_default, of_another_name, of_another_type, with_more, with_other_results])
def test_what_callers_see_counts(function: Any) -> None:
    assert look(function) != look(plain)


def test_the_name_of_the_service_counts() -> None:
    assert look(plain) != look(plain, "Find")


def taking(annotation: Any) -> str:
    def run(self: Any, given: Any) -> None: ...

    run.__annotations__["given"] = annotation
    return look(run)


def query(documentation: str = "", **fields: Any) -> Any:
    """A type of this module, as some version of the code has it."""
    made = make_dataclass("Asked", fields.items())
    made.__module__, made.__doc__ = __name__, documentation
    return made


def listed(kind: Any) -> Any:
    return list[kind]


def test_the_fields_of_types_count() -> None:
    assert taking(query(text=str)) == taking(query(text=str))
    assert taking(query(text=str)) != taking(query(text=bytes))
    assert taking(query(text=str)) != taking(query(text=str, language=str))
    assert taking(listed(query(text=str))) != taking(listed(query(line=str)))


def test_what_people_are_told_of_a_type_does_not_count() -> None:
    assert taking(query("As typed.", text=str)) == taking(query("As it was typed.", text=str))


def rows(width: int) -> Any:
    return Annotated[NDArray[np.float32], kapelle.Tensor("n", width)]


def test_the_shape_of_tensors_counts() -> None:
    assert taking(NDArray[np.float32]) != taking(NDArray[np.float64])
    assert taking(rows(3)) == taking(rows(3))
    assert taking(rows(3)) != taking(rows(4))


def test_a_type_that_only_has_a_name_counts_by_that() -> None:
    assert taking(Any) != taking(int)

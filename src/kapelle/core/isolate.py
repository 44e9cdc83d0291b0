"""Running a batch so that one bad row fails alone.

The rows are run together. When that raises ``RowErrors``, the rows it names fail and the others are run again; any
other exception has each row run alone, so that only the guilty ones fail. A result may also hold exceptions in place of
rows.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from kapelle.errors import ContractError, RowErrors

Outcome = Any
"""The result of a row, or the exception it failed with."""


def isolate(count: int, name: str) -> Generator[list[int], Any, list[Outcome]]:
    """Yields the indices of rows to run together and is sent their results (a sequence) or the exception they raised.

    Returns one outcome per row, in order.
    """
    outcomes: list[Outcome] = [None] * count
    groups = [list(range(count))]
    while groups:
        group = groups.pop(0)
        result = yield group
        if isinstance(result, RowErrors):
            bad = {index: error for index, error in result.errors.items() if 0 <= index < len(group)}
            for index, failure in bad.items():
                outcomes[group[index]] = failure
            rest = [row for index, row in enumerate(group) if index not in bad]
            if not bad:
                _fail(outcomes, group, ContractError(f"{name} raised RowErrors for no row of the batch"))
            elif rest:
                groups.insert(0, rest)
        elif isinstance(result, BaseException):
            if len(group) == 1:
                outcomes[group[0]] = result
            else:
                groups += [[row] for row in group]
        else:
            error = row_count_error(result, len(group), name)
            if error is not None:
                _fail(outcomes, group, error)
            else:
                for row, value in zip(group, result, strict=True):
                    outcomes[row] = value
    return outcomes


def row_count_error(result: Any, expected: int, name: str) -> ContractError | None:
    """Why ``result`` is not one result per row; None when it is."""
    is_rows = isinstance(result, Sequence) or hasattr(result, "shape")
    if not is_rows or isinstance(result, str | bytes):
        return ContractError(f"{name} returned {type(result).__name__}; expected a list or array of {expected} rows")
    if getattr(result, "shape", None) == ():
        return ContractError(f"{name} returned a scalar; expected {expected} rows")
    if len(result) != expected:
        return ContractError(f"{name} returned {len(result)} rows for a batch of {expected}; no row was answered")
    return None


def _fail(outcomes: list[Outcome], group: list[int], error: Exception) -> None:
    for row in group:
        outcomes[row] = error

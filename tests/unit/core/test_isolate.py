"""One bad row fails alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kapelle.core.isolate import isolate, row_count_error
from kapelle.errors import ContractError, RowErrors

Run = Callable[[list[int]], Any]


class BadRowError(Exception):
    def __init__(self, row: int) -> None:
        super().__init__(row)
        self.row = row


def drive(count: int, run: Run) -> tuple[list[Any], int]:
    """Carry out what ``isolate`` asks for: the outcomes, and how often user code ran."""
    steps = isolate(count, "embed")
    runs = 0
    try:
        group = next(steps)
        while True:
            runs += 1
            try:
                result = run(group)
            except Exception as error:  # noqa: BLE001 - stands for user code, which may raise anything
                result = error
            group = steps.send(result)
    except StopIteration as end:
        return list(end.value), runs


def raises_for_any(bad: set[int]) -> Run:
    def run(group: list[int]) -> list[int]:
        for row in group:
            if row in bad:
                raise BadRowError(row)
        return [row * 10 for row in group]

    return run


def names_the_first(bad: set[int]) -> Run:
    """User code that stops at the first bad row it meets, so that it is run again for each."""

    def run(group: list[int]) -> list[int]:
        for index, row in enumerate(group):
            if row in bad:
                raise RowErrors({index: BadRowError(row)})
        return [row * 10 for row in group]

    return run


def names_all(bad: set[int]) -> Run:
    def run(group: list[int]) -> list[int]:
        errors: dict[int, Exception] = {index: BadRowError(row) for index, row in enumerate(group) if row in bad}
        if errors:
            raise RowErrors(errors)
        return [row * 10 for row in group]

    return run


def puts_them_in_place(bad: set[int]) -> Run:
    return lambda group: [BadRowError(row) if row in bad else row * 10 for row in group]


@given(
    count=st.integers(1, 20),
    bad=st.sets(st.integers(0, 19)),
    make=st.sampled_from([raises_for_any, names_the_first, names_all, puts_them_in_place]),
)
def test_good_rows_get_their_result_and_bad_ones_their_own_error(
    count: int, bad: set[int], make: Callable[[set[int]], Run]
) -> None:
    outcomes, runs = drive(count, make(bad))
    assert len(outcomes) == count
    for row, outcome in enumerate(outcomes):
        if row in bad:
            assert isinstance(outcome, BadRowError)
            assert outcome.row == row
        else:
            assert outcome == row * 10
    assert runs <= count + 1


def test_a_batch_without_bad_rows_runs_once() -> None:
    assert drive(5, names_all(set())) == ([0, 10, 20, 30, 40], 1)


def test_a_batch_whose_bad_rows_are_named_runs_twice() -> None:
    assert drive(5, names_all({1, 3}))[1] == 2


def test_a_batch_that_raises_is_run_row_by_row() -> None:
    assert drive(5, raises_for_any({1}))[1] == 6


def test_a_single_row_that_raises_is_not_run_again() -> None:
    outcomes, runs = drive(1, raises_for_any({0}))
    assert isinstance(outcomes[0], BadRowError)
    assert runs == 1


@pytest.mark.parametrize("indices", [[], [7], [-1]])
def test_naming_no_row_of_the_batch_is_an_error_of_the_method(indices: list[int]) -> None:
    def run(group: list[int]) -> list[int]:
        raise RowErrors({index: ValueError() for index in indices})

    outcomes, runs = drive(3, run)
    assert [str(outcome) for outcome in outcomes] == ["embed raised RowErrors for no row of the batch"] * 3
    assert runs == 1


def test_rows_are_not_answered_with_those_of_others_when_their_number_is_wrong() -> None:
    outcomes, runs = drive(3, lambda group: group[1:])
    assert all(isinstance(outcome, ContractError) for outcome in outcomes)
    assert str(outcomes[0]) == "embed returned 2 rows for a batch of 3; no row was answered"
    assert runs == 1


def test_an_array_is_one_result_per_row() -> None:
    outcomes, _ = drive(3, lambda group: np.eye(3)[group])
    assert np.array_equal(np.stack(outcomes), np.eye(3))


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (None, "embed returned NoneType; expected a list or array of 3 rows"),
        ("abc", "embed returned str; expected a list or array of 3 rows"),
        (b"abc", "embed returned bytes; expected a list or array of 3 rows"),
        ({0: 1, 1: 2, 2: 3}, "embed returned dict; expected a list or array of 3 rows"),
        ({1, 2, 3}, "embed returned set; expected a list or array of 3 rows"),
        (np.float32(1.0), "embed returned a scalar; expected 3 rows"),
        (np.zeros((2, 3)), "embed returned 2 rows for a batch of 3; no row was answered"),
        ([], "embed returned 0 rows for a batch of 3; no row was answered"),
    ],
)
def test_says_what_came_instead_of_rows(result: Any, message: str) -> None:
    assert str(row_count_error(result, 3, "embed")) == message


@pytest.mark.parametrize("result", [[1, 2, 3], (1, 2, 3), np.zeros(3), np.zeros((3, 0))])
def test_lists_tuples_and_arrays_are_rows(result: Any) -> None:
    assert row_count_error(result, 3, "embed") is None

"""User code gets what its signature says, and each caller what became of his own rows."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import kapelle
from kapelle.clock import monotonic
from kapelle.declare.context import RequestContext, current_request, enter_request
from kapelle.declare.services import service_spec
from kapelle.errors import ContractError, DeadlineExceeded, InvalidInput, RowErrors
from kapelle.wire import messages
from kapelle.wire.body import Buffer
from kapelle.wire.payload import Packer, Unpacker
from kapelle.worker.execution import Execution
from kapelle.worker.job import Job


class Nobody:
    def send(self, message: messages.FromReplica, segments: Sequence[Buffer] = ()) -> None: ...
    def answer(self, job: Job, message: messages.FromReplica, segments: Sequence[Buffer]) -> None: ...
    def forget(self, job: Job) -> None: ...


def job(*rows: Any, request: str = "r", deadline: float = 1e9) -> Job:
    return Job(1, len(rows), 10, list(rows), RequestContext(request, "", deadline), Nobody())


@kapelle.service
class Numbers:
    """Notes the batches it is given; ``answer`` decides what becomes of one."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.answer: Any = lambda rows: [10 * row for row in rows]

    @kapelle.batched(max_size=64)
    def scale(self, rows: list[int]) -> list[int]:
        self.batches.append(list(rows))
        return self.answer(rows)  # type: ignore[no-any-return]  # whatever a test wants to see

    @kapelle.batched(max_size=64)
    async def scale_async(self, rows: list[int]) -> list[int]:
        await asyncio.sleep(0)
        self.batches.append(list(rows))
        return self.answer(rows)  # type: ignore[no-any-return]  # as above

    @kapelle.method
    def nearest(self, vector: NDArray[np.float32], count: int = 3, exact: bool = False) -> list[float]:
        return [float(value) for value in vector[:count]]


@kapelle.service
class Arrays:
    """Notes shape and dtype of the batches it is given."""

    def __init__(self) -> None:
        self.batches: list[tuple[tuple[int, ...], str]] = []

    @kapelle.batched(max_size=64)
    def norm(self, rows: np.ndarray) -> NDArray[np.float64]:
        self.batches.append((rows.shape, str(rows.dtype)))
        sums: NDArray[np.float64] = np.asarray(rows, np.float64).reshape(len(rows), -1).sum(axis=1)
        return sums


def execution(service: type, method: str) -> Execution:
    spec = service_spec(service)
    assert spec is not None
    return Execution(spec.methods[method])


@pytest.fixture(params=["scale", "scale_async"])
def run(request: pytest.FixtureRequest) -> Any:
    """Runs a batch of ``Numbers``, sync and async: the outcomes and what user code was given."""

    async def run(answer: Any, *jobs: Job) -> tuple[list[Any], list[list[int]]]:
        numbers = Numbers()
        if answer is not None:
            numbers.answer = answer
        method = execution(Numbers, request.param)
        if request.param == "scale":
            return method.run_batch(numbers, list(jobs)), numbers.batches
        return await method.run_batch_async(numbers, list(jobs)), numbers.batches

    return run


# --- batches ----------------------------------------------------------------------------------------------------------


async def test_rows_of_several_callers_run_together(run: Any) -> None:
    outcomes, batches = await run(None, job(1), job(2, 3), job(4))
    assert outcomes == [[10], [20, 30], [40]]
    assert batches == [[1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (lambda rows: rows[:-1], "returned 2 rows for a batch of 3"),
        (lambda rows: [*rows, 0], "returned 4 rows for a batch of 3"),
        (lambda rows: [], "returned 0 rows for a batch of 3"),
        (lambda rows: 5, "returned int; expected a list or array of 3 rows"),
        (lambda rows: None, "returned NoneType; expected"),
        (dict.fromkeys, "returned dict; expected"),
        (set, "returned set; expected"),
        (lambda rows: "abc", "returned str; expected"),
        (lambda rows: (row for row in rows), "returned generator; expected"),
        (lambda rows: np.float64(5), "returned a scalar"),
        (lambda rows: np.zeros((5, 3)), "returned 5 rows for a batch of 3"),
    ],
)
async def test_a_wrong_number_of_rows_answers_nobody_with_the_rows_of_another(
    run: Any, answer: Any, complaint: str
) -> None:
    outcomes, batches = await run(answer, job(1), job(2), job(3))
    assert len(batches) == 1, "it would not be right the second time"
    for outcome in outcomes:
        assert isinstance(outcome, ContractError)
        assert complaint in outcome.detail


@pytest.mark.parametrize(
    "answer",
    [tuple, deque, np.asarray, lambda rows: np.asarray(rows).reshape(3, 1)],
    ids=["tuple", "deque", "array", "column"],
)
async def test_rows_may_come_in_any_sequence(run: Any, answer: Any) -> None:
    outcomes, _ = await run(answer, job(1), job(2, 3))
    assert [np.asarray(outcome).ravel().tolist() for outcome in outcomes] == [[1], [2, 3]]
    assert all(isinstance(outcome, list | np.ndarray) for outcome in outcomes)


async def test_one_bad_row_among_many_fails_alone(run: Any) -> None:
    def answer(rows: list[int]) -> list[int]:
        if 3 in rows:
            raise ValueError("three!")
        return [10 * row for row in rows]

    outcomes, batches = await run(answer, job(1), job(2), job(3), job(4))
    assert outcomes[:2] == [[10], [20]]
    assert isinstance(outcomes[2], ValueError)
    assert outcomes[3] == [40]
    assert batches == [[1, 2, 3, 4], [1], [2], [3], [4]]


async def test_bad_rows_that_are_named_are_not_tried_again(run: Any) -> None:
    def answer(rows: list[int]) -> list[int]:
        bad = {index: ValueError(f"odd {row}") for index, row in enumerate(rows) if row % 2}
        if bad:
            raise RowErrors(dict(bad))
        return [10 * row for row in rows]

    outcomes, batches = await run(answer, job(1), job(2), job(3), job(4))
    assert batches == [[1, 2, 3, 4], [2, 4]]
    assert [str(outcome) if isinstance(outcome, Exception) else outcome for outcome in outcomes] == [
        "odd 1",
        [20],
        "odd 3",
        [40],
    ]


async def test_exceptions_in_place_of_rows_fail_those_rows(run: Any) -> None:
    error = ValueError("odd")
    outcomes, batches = await run(lambda rows: [error if row % 2 else row for row in rows], job(1), job(2), job(4, 5))
    assert outcomes == [error, [2], error], "a caller of several rows hears of the first bad one"
    assert len(batches) == 1


async def test_the_first_job_may_be_the_one_that_fails(run: Any) -> None:
    outcomes, _ = await run(lambda rows: [ValueError("x"), 2], job(1), job(2))
    assert isinstance(outcomes[0], ValueError)
    assert outcomes[1] == [2]


async def test_rows_whose_time_is_over_are_not_run_alone(run: Any) -> None:
    def answer(rows: list[int]) -> list[int]:
        if len(rows) > 1:
            raise ValueError("together")
        return rows

    gone = job(2)
    gone.cancel()
    outcomes, batches = await run(answer, job(1), gone, job(3, deadline=monotonic() - 1), job(4))
    assert batches == [[1, 2, 3, 4], [1], [4]]
    assert outcomes[0] == [1]
    assert isinstance(outcomes[2], DeadlineExceeded)
    assert outcomes[3] == [4]


async def test_a_cancellation_of_user_codes_own_doing_is_a_failure_like_others(run: Any) -> None:
    def answer(rows: list[int]) -> list[int]:
        if 2 in rows:
            raise asyncio.CancelledError
        return rows

    outcomes, _ = await run(answer, job(1), job(2))
    assert outcomes[0] == [1]
    assert isinstance(outcomes[1], RuntimeError)
    assert isinstance(outcomes[1].__cause__, asyncio.CancelledError)


async def test_user_code_may_take_its_batch_apart(run: Any) -> None:
    def answer(rows: list[int]) -> list[int]:
        if 3 in rows and len(rows) > 1:
            rows.clear()
            raise ValueError
        return [10 * rows.pop(0) for _ in range(len(rows))]

    assert (await run(answer, job(1, 2)))[0] == [[10, 20]]
    assert (await run(answer, job(1), job(2, 4)))[0] == [[10], [20, 40]]
    assert (await run(answer, job(1), job(2, 3)))[0] == [[10], [20, 30]]


async def test_what_is_no_exception_is_a_failure_like_others(run: Any) -> None:
    class PanicError(BaseException):
        """As code in Rust raises."""

    def answer(rows: list[int]) -> list[int]:
        if 2 in rows:
            raise PanicError
        return rows

    outcomes, _ = await run(answer, job(1), job(2))
    assert outcomes[0] == [1]
    assert isinstance(outcomes[1], PanicError)


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_what_shall_end_the_process_is_not_caught(kind: type[BaseException]) -> None:
    numbers = Numbers()

    def answer(rows: list[int]) -> list[int]:
        raise kind

    numbers.answer = answer
    with pytest.raises(kind):
        execution(Numbers, "scale").run_batch(numbers, [job(1)])


def test_arrays_are_stacked() -> None:
    arrays = Arrays()
    outcomes = execution(Arrays, "norm").run_batch(arrays, [job(np.ones(3)), job(np.ones(3), np.zeros(3))])
    assert arrays.batches == [((3, 3), "float64")]
    assert [outcome.tolist() for outcome in outcomes] == [[3.0], [3.0, 0.0]]


def test_arrays_that_do_not_fit_together_run_apart() -> None:
    """What comes along with a row must not make it fail, nor change its dtype."""
    arrays = Arrays()
    rows = [np.ones(3), np.ones(2), np.ones(3, np.int32), np.ones(2), np.ones((2, 2))]
    outcomes = execution(Arrays, "norm").run_batch(arrays, [job(row) for row in rows])
    assert [outcome[0] for outcome in outcomes] == [3.0, 2.0, 3.0, 2.0, 4.0]
    assert sorted(arrays.batches) == [
        ((1, 2, 2), "float64"),
        ((1, 3), "float64"),
        ((1, 3), "int32"),
        ((2, 2), "float64"),
    ]


# --- single calls -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [([[1.0, 2.0]], ([1.0, 2.0], 3, False)), ([[1.0], 7], ([1.0], 7, False)), ([[1.0], 7, True], ([1.0], 7, True))],
)
def test_missing_arguments_take_their_defaults(arguments: list[Any], expected: tuple[Any, ...]) -> None:
    vector, count, exact = execution(Numbers, "nearest").decode(Packer()(arguments).data, b"", 1)
    assert isinstance(vector, np.ndarray)
    assert vector.dtype == np.float32
    assert (vector.tolist(), count, exact) == expected


def test_what_does_not_fit_the_signature_is_named() -> None:
    with pytest.raises(InvalidInput, match="Expected `int`, got `str`") as caught:
        execution(Numbers, "nearest").decode(Packer()([[1.0], "x"]).data, b"", 1)
    assert caught.value.path == "$[1]"


def test_a_single_run_gives_its_result_or_its_exception() -> None:
    method = execution(Numbers, "nearest")
    assert method.run_one(Numbers(), job(np.ones(3, np.float32), 2)) == [1.0, 1.0]
    assert isinstance(method.run_one(Numbers(), job(5, 2)), TypeError)


def test_a_coroutine_is_no_result() -> None:
    async def forgotten() -> None: ...

    coroutine = forgotten()
    with pytest.raises(ContractError, match="nearest returned a coroutine; declare it `async def`"):
        execution(Numbers, "nearest").pack(coroutine)
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED


def lines() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    "value",
    [lines(), object(), [object()], {"a": lambda: 1}, np.array(["x"])],
    ids=["generator", "object", "list", "dict", "array"],
)
def test_what_cannot_travel_is_the_services_fault(value: Any) -> None:
    with pytest.raises(ContractError, match="nearest returned what cannot travel: "):
        execution(Numbers, "nearest").pack(value)


def test_a_result_travels_as_it_is() -> None:
    data, _ = execution(Numbers, "nearest").pack([1.0, 2.0])
    assert Unpacker(list[float])(data) == [1.0, 2.0]


# --- context ----------------------------------------------------------------------------------------------------------


def test_user_code_knows_whom_it_serves() -> None:
    seen: list[RequestContext | None] = []
    numbers = Numbers()

    def answer(rows: list[int]) -> list[int]:
        seen.append(current_request())
        return rows

    numbers.answer = answer
    method = execution(Numbers, "scale")
    try:
        method.run_batch(numbers, [job(1, request="a", deadline=9.0)])
        method.run_batch(numbers, [job(1, request="a", deadline=9.0), job(2, request="b", deadline=5.0)])
        method.run_batch(numbers, [job(1, request=str(number)) for number in range(12)])
    finally:
        enter_request(None)
    assert seen == [
        RequestContext("a", "", 9.0),
        RequestContext("a,b", "", 5.0),
        RequestContext("0,1,2,3,4,5,6,7,+4", "", 1e9),
    ]

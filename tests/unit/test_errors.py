"""An error means the same on both sides of a wire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from kapelle import errors
from kapelle.errors import (
    CallError,
    Cancelled,
    ContractError,
    DeadlineExceeded,
    InvalidInput,
    KapelleError,
    Overloaded,
    ReplicaLost,
    RowErrors,
    TooLarge,
    Unavailable,
    UserCodeError,
    forget_frames,
    in_a_line,
    rebuild,
    traceback_of,
)

KINDS = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, KapelleError)]

TRAVELLERS: list[CallError] = [
    CallError("it ended"),
    InvalidInput("expected numbers only", path="$.vectors[2]"),
    TooLarge("20 MB; expected at most 16 MB"),
    Overloaded("full", retry_after=2.5),
    Unavailable("no replica of Encoder is ready", retry_after=0.25),
    DeadlineExceeded(),
    Cancelled(),
    ReplicaLost("Encoder-0 died"),
    UserCodeError("ValueError: no", traceback="Traceback (most recent call last): ..."),
    ContractError("embed returned 2 rows for a batch of 3"),
]


def test_every_error_of_a_call_is_among_the_travellers() -> None:
    assert {type(error) for error in TRAVELLERS} == {kind for kind in KINDS if issubclass(kind, CallError)}


@pytest.mark.parametrize("error", TRAVELLERS, ids=lambda error: type(error).__name__)
def test_an_error_is_rebuilt_as_it_was(error: CallError) -> None:
    there = rebuild(error.code, error.detail, error.extra)
    assert type(there) is type(error)
    assert vars(there) == vars(error)
    assert str(there) == error.detail


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in KINDS]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not RowErrors], ids=lambda kind: kind.__name__)
def test_the_docstring_is_the_default_message(kind: type[KapelleError]) -> None:
    message = str(kind())
    assert message
    assert message == (kind.__doc__ or "").split("\n", 1)[0]
    assert str(kind("what happened")) == "what happened"


def test_an_error_without_more_to_say_has_no_extra() -> None:
    assert DeadlineExceeded().extra == ""


@pytest.mark.parametrize("code", ["", "of-a-newer-version", "config"])
def test_an_unknown_code_is_a_failed_call(code: str) -> None:
    there = rebuild(code, "what happened", "more")
    assert type(there) is CallError
    assert there.detail == "what happened"


@pytest.mark.parametrize("kind", [Overloaded, Unavailable])
@pytest.mark.parametrize("extra", ["", "soon"])
def test_a_retry_time_that_is_none_becomes_a_second(kind: type[Overloaded | Unavailable], extra: str) -> None:
    there = rebuild(kind.code, "full", extra)
    assert isinstance(there, kind)
    assert there.retry_after == 1.0


def test_an_empty_path_is_the_whole_input() -> None:
    there = rebuild(InvalidInput.code, "bad", "")
    assert isinstance(there, InvalidInput)
    assert there.path == "$"


def test_row_errors_name_their_rows() -> None:
    errors = RowErrors({3: ValueError("c"), 1: ValueError("a")})
    assert str(errors) == "2 bad rows: 1, 3"
    assert set(errors.errors) == {1, 3}


class Wordless(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def test_what_users_raise_is_told_as_far_as_it_can_be() -> None:
    assert in_a_line(ValueError("3 rows,\nexpected 4")) == "ValueError: 3 rows, expected 4"
    assert in_a_line(Wordless()) == "Wordless: (no text: RuntimeError)"
    assert traceback_of(ValueError("3 rows")) == "ValueError: 3 rows\n"


def test_a_traceback_that_cannot_be_written_has_its_lines_all_the_same() -> None:
    with pytest.raises(SyntaxError) as caught:
        raise SyntaxError("no comma", ("model.txt", 2, 3, b"a b"))  # type: ignore[arg-type]  # that is what is wrong
    written = traceback_of(caught.value)
    assert "raise SyntaxError" in written
    assert written.splitlines()[-1].startswith("SyntaxError: (no text: ")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("3 dimensions,\n  expected 4"), "ValueError: 3 dimensions, expected 4"),
        (ValueError(), "ValueError"),
        (Overloaded("full"), "full"),
        (Wordless(), "Wordless: (no text: RuntimeError)"),
        (OSError("no file caf\udce9.txt"), r"OSError: no file caf\udce9.txt"),
        (ValueError("x" * 2000), f"ValueError: {'x' * 988}…"),
    ],
)
def test_any_error_is_a_line_that_can_be_sent(error: Exception, line: str) -> None:
    assert in_a_line(error) == line
    assert in_a_line(error).encode()


@pytest.mark.parametrize(
    ("errors", "kinds"),
    [({0: "bad"}, "int and str"), ({"0": ValueError()}, "str and ValueError"), ({1: ValueError}, "int and type")],
)
def test_row_errors_take_nothing_else(errors: Any, kinds: str) -> None:
    with pytest.raises(TypeError, match=f"the index of each bad row and its exception, got {kinds}"):
        RowErrors(errors)


@dataclass(frozen=True)
class Stiff(Exception):
    """One that does not let itself be changed."""

    number: int


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    with pytest.raises(type(error)) as caught:
        raise error from cause
    return caught.value


def test_frames_are_forgotten_with_those_of_all_that_led_to_an_error() -> None:
    context, cause, part = raised(KeyError(1)), raised(Stiff(2)), raised(ValueError(3))
    error = raised(BaseExceptionGroup("several", [part]), cause)
    error.__context__, context.__context__ = context, error  # some go round in circles
    forget_frames(error)
    assert [one.__traceback__ for one in (error, cause, context, part)] == [None] * 4

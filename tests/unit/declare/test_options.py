"""What a decorator is given in the wrong type is told as such, with its name, before anything is made of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import kapelle
from kapelle.declare.options import checked
from kapelle.errors import DeclarationError

unchecked: Any = kapelle
"""As a notebook sees it, without a type checker."""


@pytest.mark.parametrize(
    ("decorate", "said"),
    [
        (lambda: unchecked.service(replicas="2"), r"replicas='2': expected int, got str"),
        (lambda: unchecked.service(replicas=1.5), r"replicas=1.5: expected int, got float"),
        (
            lambda: unchecked.service(requirements=["numpy"]),
            r"requirements=\['numpy'\]: expected str or None, got array",
        ),
        (lambda: unchecked.service(cpus="2"), r"cpus='2': expected float or None, got str"),
        (lambda: unchecked.service(gpus=True), r"gpus=True: expected int, got bool"),
        (lambda: unchecked.service(placement={"disk": 1}), r"placement=\{'disk': 1\}: expected str, got int"),
        (
            lambda: unchecked.service(memory_limit=0.5),
            r"memory_limit=0.5: expected int \| str or None, got float",
        ),
        (lambda: unchecked.service(inline=1), r"inline=1: expected bool, got int"),
        (lambda: unchecked.method(timeout=[1]), r"timeout=\[1\]: expected"),
        (lambda: unchecked.batched(max_size="32"), r"max_size='32': expected int, got str"),
        (lambda: unchecked.get(7), r"path=7: expected str, got int"),
        (lambda: unchecked.post("/x", timeout={}), r"timeout=\{\}: expected"),
        (lambda: unchecked.app(mounts=["/static"]), r"mounts=\['/static'\]: expected object or None, got array"),
        (lambda: unchecked.service(placement="x" * 1000), r"placement='x{99}: expected"),
    ],
)
def test_an_option_of_another_type_is_named(decorate: Callable[[], Any], said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        decorate()


@pytest.mark.parametrize(
    ("decorate", "said"),
    [
        (lambda: unchecked.method(timeout="soon"), "timeout='soon': 'soon' is not a duration; expected a number and"),
        (lambda: unchecked.method(hedge=-1), "hedge=-1: a duration cannot be -1; expected 0 or more seconds"),
        (lambda: unchecked.batched(max_wait="2 ticks"), "max_wait='2 ticks': '2 ticks' is not a duration"),
        (lambda: unchecked.get("/x", timeout="x" * 1000), "timeout='x{99}: "),
        (lambda: unchecked.method(timeout=0), "timeout=0: expected more than 0 seconds, as in '5s'"),
        (lambda: unchecked.batched(timeout="0ms"), "timeout='0ms': expected more than 0"),
        (lambda: unchecked.post("/x", timeout=0.0), r"timeout=0\.0: expected more than 0"),
        (lambda: unchecked.batched(max_bytes=0), "max_bytes=0: expected at least 1"),
    ],
)
def test_an_option_that_is_no_time_or_size_is_named(decorate: Callable[[], Any], said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        decorate()


def test_what_fits_is_taken_as_it_is() -> None:
    given: list[Any] = []

    @checked
    def decorator(name: str, *, share: float = 0.5, labels: dict[str, str] | None = None) -> None:
        """Its own words."""
        given.append((name, share, labels))

    labels = {"a": "b"}
    decorator("x", labels=labels)
    decorator("x", share=1)
    assert given == [("x", 0.5, labels), ("x", 1, None)]
    assert given[0][2] is labels
    assert decorator.__doc__ == "Its own words."
    assert str(inspect.signature(decorator)).startswith("(name: 'str', *, share")


@pytest.mark.parametrize(
    ("decorate", "said"),
    [
        (lambda: unchecked.batched(len), r"@batched needs parentheses, also without options: write @batched\(\)"),
        (lambda: unchecked.service(2), r"@service\(2\): expected options by their names: replicas, artifact, "),
        (
            lambda: unchecked.method("5s"),
            r"@method\('5s'\): expected options by their names: timeout, idempotent, hedge",
        ),
    ],
)
def test_what_is_not_named_is_told_as_such(decorate: Callable[[], Any], said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        decorate()


@pytest.mark.parametrize(
    ("decorate", "said"),
    [
        (unchecked.get, r"@get: missing a required argument: 'path'; it takes path, timeout"),
        (lambda: unchecked.method(hegde=1), r"@method: got an unexpected keyword argument 'hegde'; it takes timeout, "),
        (lambda: unchecked.service(object, replica=2), r"@service: got an .* 'replica'; it takes replicas, artifact, "),
        (lambda: unchecked.batched(32), r"@batched: too many positional arguments; it takes max_size, max_wait, "),
    ],
)
def test_what_is_missing_or_unknown_is_told_with_what_there_is(decorate: Callable[[], Any], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        decorate()

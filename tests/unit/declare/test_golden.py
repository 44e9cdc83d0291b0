"""Golden queries are found on the app, inherited ones included; what cannot be asked is refused where it is declared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import kapelle
from kapelle.declare.apps import app_spec
from kapelle.declare.golden import GoldenSpec, golden, golden_of
from kapelle.errors import DeclarationError


class Base:
    @golden
    async def knows_its_questions(self) -> None:
        self.asked = True

    @golden()
    async def answers_briefly(self) -> None: ...

    @golden
    async def overridden(self) -> None: ...


class Derived(Base):
    @golden(timeout="5s")
    async def finds_itself(self) -> None: ...

    async def overridden(self) -> None:
        """Without the mark: no golden query any more."""


def test_golden_queries_with_their_timeouts() -> None:
    assert golden_of(Derived) == (
        GoldenSpec("answers_briefly", 30.0),
        GoldenSpec("finds_itself", 5.0),
        GoldenSpec("knows_its_questions", 30.0),
    )


def test_a_class_without_golden_queries() -> None:
    assert golden_of(object) == ()


async def test_a_golden_query_is_still_a_method() -> None:
    base = Base()
    await base.knows_its_questions()
    assert base.asked


def test_the_app_knows_its_own() -> None:
    @kapelle.app
    class App(Base):
        @kapelle.get("/")
        async def root(self) -> str:
            return "root"

    spec = app_spec(App)
    assert spec is not None
    assert [one.name for one in spec.golden] == ["answers_briefly", "knows_its_questions", "overridden"]


def plain(self: Any) -> None: ...


async def curious(self: Any, question: str = "Why?") -> None: ...


async def anybody(*apps: Any, **more: Any) -> None: ...


async def nobody() -> None: ...


async def stream(self: Any) -> Any:
    yield 1


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (plain, r"golden query plain must be `async def`"),
        (stream, r"golden query stream must be `async def`"),
        (staticmethod(nobody), r"golden query nobody must be `async def`"),
        (curious, r"golden query curious takes \(self, question\); expected \(self\) alone"),
        (anybody, r"golden query anybody takes \(apps, more\); expected \(self\) alone"),
        (nobody, r"golden query nobody takes \(\); expected \(self\) alone"),
    ],
)
def test_what_cannot_be_asked(function: Callable[..., Any], problem: str) -> None:
    with pytest.raises(DeclarationError, match=problem):
        golden(function)


@pytest.mark.parametrize(
    ("timeout", "problem"),
    [
        ("soon", r"answers: timeout='soon': 'soon' is not a duration; expected a number and one of us, ms, s, m, h"),
        (-1, r"answers: timeout=-1: a duration cannot be -1"),
        (0, r"answers: timeout=0: expected more than 0 seconds, as in '5s'"),
    ],
)
def test_bad_timeouts(timeout: str | float, problem: str) -> None:
    async def answers(self: Any) -> None: ...

    with pytest.raises(DeclarationError, match=problem):
        golden(timeout=timeout)(answers)


def test_a_service_is_not_asked() -> None:
    class Encoder:
        @kapelle.method
        def embed(self) -> str:
            return "embedded"

        @kapelle.golden
        async def knows(self) -> None: ...

    with pytest.raises(DeclarationError, match=r"Encoder.knows is a golden query of a service; .* move it there"):
        kapelle.service(Encoder)

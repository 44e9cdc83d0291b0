"""Releases among processes that have the code of their image: what was built from other code is refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from kapelle.artifacts.cache import Cache
from kapelle.control.single_code import ImageConductor
from kapelle.core.rollout_messages import Terms
from kapelle.declare.code import Code
from kapelle.wire import wishes
from tests.unit.control.containers import Engine, app


@dataclass(eq=False)
class Running:
    """What is looked at of a process."""

    image_code: str


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    (tmp_path / "app.py").write_text("the code of the image")
    return Engine(tmp_path, monkeypatch, Code("app.py", {"app.py": tmp_path / "app.py"}))


def conductor(engine: Engine, *codes: str) -> ImageConductor:
    built = ImageConductor("app.py", app(), engine.objects, Cache(engine.folder / "cache"), Terms())
    built.fleet = lambda: cast(Any, [Running(code) for code in codes])
    return built


async def test_other_code_is_named_with_the_next_step(engine: Engine) -> None:
    one = conductor(engine, engine.code, "bbb", "aaa", "aaa")
    over = await one.publish("r2", lambda _: None)
    one.close()
    assert (over.release, over.outcome) == ("r2", wishes.DENIED)
    assert over.reason == (
        f"r2 was built from code {engine.code}, and containers run aaa, bbb: bring them to its code first (`kapelle build` "
        f"and `kapelle deploy` with the code that r2 was built from), or build a release from the code that runs"
    )


async def test_the_same_code_and_a_release_without_any_are_let_through(engine: Engine) -> None:
    one = conductor(engine, engine.code)
    assert one._mismatch("r2", one._code_of("r2")) == ""
    assert one._mismatch("r2", "") == ""
    one.fleet = list
    assert one._mismatch("r2", engine.code) == ""
    one.close()


async def test_a_release_that_is_not_there_is_refused_where_it_is_verified(engine: Engine) -> None:
    one = conductor(engine, "aaa")
    over = await one.publish("r9", lambda _: None)
    one.close()
    assert over.outcome == "refused"
    assert "r9" in over.reason


async def test_one_that_it_does_not_know_may_go(engine: Engine) -> None:
    one = conductor(engine)
    stranger = cast(Any, Running("aaa"))
    one.leaving(stranger)
    assert one.may_go(stranger)
    one.close()

"""A test that sleeps is slow when the machine is fast and wrong when it is slow; it waits for the event instead."""

from __future__ import annotations

import ast

import pytest

from tests.house.sources import Source, report, sources


def test_tests_do_not_sleep() -> None:
    found = [place for source in sources("tests", "benchmarks/tests") for place in sleeps(source)]
    report(
        found,
        mend="wait for what you expect (an event, a line of output, a connection, a virtual clock); "
        "where sleeping is the subject (a method that hangs), say so in a comment on the same line",
    )


def sleeps(source: Source) -> list[str]:
    calls = [node for node in ast.walk(source.tree) if isinstance(node, ast.Call)]
    return [source.at(call.lineno) for call in calls if _sleeps(call) and call.lineno not in source.comments]


def _sleeps(call: ast.Call) -> bool:
    match ast.unparse(call.func):
        case "time.sleep":
            return True
        case "asyncio.sleep" | "anyio.sleep" | "sleep":
            # A sleep of zero only lets others run; one of a computed length is a part of the scenario.
            return bool(call.args) and isinstance(call.args[0], ast.Constant) and bool(call.args[0].value)
        case _:
            return False


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("time.sleep(delay)", True),
        ("await asyncio.sleep(0.1)", True),
        ("await asyncio.sleep(0)", False),
        ("await asyncio.sleep(delay)", False),
        ("time.sleep(3600)  # never returns: the deadline must end it", False),
    ],
)
def test_finds_sleeps(code: str, found: bool) -> None:
    assert bool(sleeps(Source("sample.py", f"async def f():\n    {code}"))) is found

"""Whoever switches a check off says why: on the same line, or in a comment on the line above."""

from __future__ import annotations

import ast
import re

import pytest

from tests.house.sources import Source, report, sources

# What may follow the marker itself: a list of rules. Anything beyond that is the reason.
SWITCHES = re.compile(
    r"# *("
    r"type: *ignore(\[[\w, -]*\])?"
    r"|pyright: *ignore(\[[\w, ]*\])?"
    r"|noqa(: *[A-Z]+\d+([, ]+[A-Z]+\d+)*)?"
    r"|pragma: *no cover"
    r")"
)
BLIND = {"Exception", "BaseException"}


def test_switched_off_checks_have_a_reason() -> None:
    found = [place for source in sources("src", "apps", "tests", "scripts", "benchmarks") for place in unargued(source)]
    report(found, mend="add the reason behind the marker (`# noqa: X001 - why`), or in a comment on the line above")


def test_blind_excepts_have_a_reason() -> None:
    found = [place for source in sources("src", "apps", "scripts", "benchmarks") for place in blind_excepts(source)]
    report(found, mend="catch the errors that can happen; where it must be all of them, say why in a comment beside it")


def unargued(source: Source) -> list[str]:
    found = []
    for line, comment in source.comments.items():
        rest = SWITCHES.sub("", comment)
        if rest != comment and not re.search(r"\w", rest) and not source.has_comment_above(line):
            found.append(source.at(line))
    return found


def blind_excepts(source: Source) -> list[str]:
    handlers = [node for node in ast.walk(source.tree) if isinstance(node, ast.ExceptHandler)]
    return [
        source.at(each.lineno)
        for each in handlers
        if _is_blind(each) and not _raises_again(each) and not _is_argued(source, each.lineno)
    ]


def _is_blind(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(each, ast.Name) and each.id in BLIND for each in caught)


def _raises_again(handler: ast.ExceptHandler) -> bool:
    """Whether the handler only clears up on the way out."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def _is_argued(source: Source, line: int) -> bool:
    if source.has_comment_above(line):
        return True
    comment = source.comments.get(line, "")
    return bool(re.search(r"\w", SWITCHES.sub("", comment)))


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("x = 1  # noqa: E501", True),
        ("x = 1  # noqa: E501, B007", True),
        ("x = 1  # type: ignore[arg-type]", True),
        ("x = 1  # type: ignore[arg-type]  # noqa: E501", True),
        ("x = 1  # pragma: no cover", True),
        ("x = 1  # noqa: E501 - the address cannot be broken", False),
        ("x = 1  # type: ignore[arg-type]  # the stub lacks None", False),
        ("# The stub lacks None.\nx = 1  # type: ignore[arg-type]", False),
        ("x = '# noqa'", False),
    ],
)
def test_finds_switches_without_a_reason(code: str, found: bool) -> None:
    assert bool(unargued(Source("sample.py", code))) is found


@pytest.mark.parametrize(
    ("handler", "found"),
    [
        ("except Exception:", True),
        ("except (OSError, BaseException) as error:", True),
        ("except:", True),
        ("except Exception:  # noqa: BLE001", True),
        ("except Exception:  # noqa: BLE001 - user code may raise anything", False),
        ("except BaseException: clear_up(); raise", False),
        ("except OSError:", False),
    ],
)
def test_finds_blind_excepts(handler: str, found: bool) -> None:
    body = "" if handler.endswith("raise") else "\n    pass"
    assert bool(blind_excepts(Source("sample.py", f"try:\n    x = 1\n{handler}{body}"))) is found

"""Importing a module reads nothing of the environment: configuration is parsed once, by whoever starts a process."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.house.sources import Source, report, sources

READS = {"os.environ", "os.environb", "os.getenv", "environ", "getenv"}


def test_no_environment_is_read_at_import() -> None:
    found = [place for source in sources("src", "apps") for place in environment_reads(source)]
    report(found, mend="read it where a process starts, and hand the value down as an argument")


def environment_reads(source: Source) -> list[str]:
    nodes = [node for node in _run_at_import(source.tree) if isinstance(node, ast.Attribute | ast.Name)]
    return [source.at(node.lineno) for node in nodes if ast.unparse(node) in READS]


def _run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those in functions' bodies and under ``if __name__ == "__main__"``; decorators and defaults run."""
    yield node
    match node:
        case (
            ast.FunctionDef(decorator_list=decorators, args=arguments)
            | ast.AsyncFunctionDef(decorator_list=decorators, args=arguments)
        ):
            inside: list[ast.AST] = [*decorators, arguments]
        case ast.Lambda(args=arguments):
            inside = [arguments]
        case ast.If(test=test) if "__name__" in ast.unparse(test):
            inside = []
        case _:
            inside = list(ast.iter_child_nodes(node))
    for child in inside:
        yield from _run_at_import(child)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import os\nHOME = os.environ['HOME']", True),
        ("import os\nclass A:\n    home = os.getenv('HOME')", True),
        ("import os\ndef f(home=os.getenv('HOME')): ...", True),
        ("from os import environ\nHOME = environ.get('HOME')", True),
        ("import os\ndef f():\n    return os.environ['HOME']", False),
        ("import os\nhome = lambda: os.environ['HOME']", False),
        ("import os\nif __name__ == '__main__':\n    print(os.environ)", False),
    ],
)
def test_finds_reads_at_import(code: str, found: bool) -> None:
    assert bool(environment_reads(Source("sample.py", code))) is found

"""tests/unit mirrors src/kapelle: src/kapelle/core/batch.py is tested by tests/unit/core/test_batch.py."""

from __future__ import annotations

import ast
from pathlib import PurePosixPath

from tests.house.sources import Source, report, sources

# Modules whose unit test would say nothing, each with what tests it instead.
WITHOUT_A_UNIT_TEST: dict[str, str] = {
    "src/kapelle/artifacts/objects.py": "a protocol; tests/unit/artifacts/test_folder_objects.py tests who keeps it",
    "src/kapelle/artifacts/source.py": "a protocol; tests/unit/artifacts/test_folder.py tests who keeps it",
    "src/kapelle/control/conducted.py": "a protocol; test_process.py and test_remote.py beside it test who keeps it",
}


def test_every_unit_test_mirrors_a_module() -> None:
    modules = {expected_test(each.where) for each in sources("src/kapelle")}
    tests = [each.where for each in sources("tests/unit") if PurePosixPath(each.where).name.startswith("test_")]
    report(
        [test for test in tests if test not in modules],
        mend="move the test to where its module is; a test of several modules together belongs to tests/integration",
    )


def test_every_module_has_its_unit_test() -> None:
    tests = {each.where for each in sources("tests/unit")}
    missing = [
        f"{source.where}: expected {expected_test(source.where)}"
        for source in sources("src/kapelle")
        if has_code(source) and source.where not in WITHOUT_A_UNIT_TEST and expected_test(source.where) not in tests
    ]
    report(missing, mend="write the test, or add the module with the reason to WITHOUT_A_UNIT_TEST in this file")


def test_exceptions_are_still_needed() -> None:
    tests = {each.where for each in sources("tests/unit")}
    modules = {each.where for each in sources("src/kapelle")}
    stale = [each for each in WITHOUT_A_UNIT_TEST if each not in modules or expected_test(each) in tests]
    report(stale, mend="remove the entry from WITHOUT_A_UNIT_TEST: the module is gone, or has its test by now")


def expected_test(module: str) -> str:
    path = PurePosixPath(module).relative_to("src/kapelle")
    return str("tests/unit" / path.with_name(f"test_{path.name}"))


def has_code(source: Source) -> bool:
    """Whether the module does more than gather names: it defines a function or a class."""
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for node in ast.walk(source.tree)
    )


def test_knows_the_test_of_a_module() -> None:
    assert expected_test("src/kapelle/core/batch.py") == "tests/unit/core/test_batch.py"


def test_knows_modules_without_code() -> None:
    assert not has_code(Source("sample.py", '"""Gathers names."""\nfrom a import b\n__all__ = ["b"]'))
    assert has_code(Source("sample.py", "class A: ..."))

"""What users import is explained where they meet it: in the docstring."""

from __future__ import annotations

import builtins
import inspect
import re
from types import ModuleType

import pytest

import kapelle
from tests.house.sources import ROOT, report


def test_public_names_have_docstrings() -> None:
    assert kapelle.__all__, "kapelle/__init__.py lists the public names in __all__"
    report(undocumented(kapelle), mend="write a docstring: what it is, then shapes, units and errors where they matter")


def test_errors_that_the_reference_names_can_be_caught() -> None:
    """Who reads that a name raises ``ConfigError`` writes ``except kapelle.ConfigError``."""
    reference = (ROOT / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
    named = {
        name for block in re.findall(r"Raises:\n\n((?: *[-\w].*\n)+)", reference) for name in _ERROR.findall(block)
    }
    assert "ConfigError" in named
    report(
        sorted(name for name in named if name not in kapelle.__all__ and not hasattr(builtins, name)),
        mend="make it a name of kapelle",
    )


_ERROR = re.compile(r"^ *- `(\w+)`:", re.MULTILINE)


def undocumented(module: ModuleType) -> list[str]:
    return [f"{module.__name__}.{name}" for name in module.__all__ if not _is_documented(getattr(module, name))]


def _is_documented(thing: object) -> bool:
    if not (inspect.isclass(thing) or inspect.isroutine(thing)):
        return True  # a constant or a type alias: its comment stands in the source
    doc = thing.__doc__ or ""
    # The docstring of a dataclass without one is its signature.
    return bool(doc.strip()) and not doc.startswith(f"{thing.__name__}(")


@pytest.mark.parametrize(("doc", "found"), [("What it does.", []), (None, ["sample.thing"]), (" ", ["sample.thing"])])
def test_finds_missing_docstrings(doc: str | None, found: list[str]) -> None:
    def thing() -> None: ...

    thing.__doc__ = doc
    module = ModuleType("sample")
    module.thing = thing  # type: ignore[attr-defined]  # modules are open to any attribute
    module.__all__ = ["thing"]  # type: ignore[attr-defined]  # as above
    assert undocumented(module) == found

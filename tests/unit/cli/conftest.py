"""What the tests of the command line share: one system for those that only ask, and clean imports for all."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.documents import forget_modules
from tests.unit.cli.served import APP, Served, serving


@pytest.fixture(autouse=True)
def _clean_imports(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Loading an app adds its folder to the path and its module to those imported."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    forget_modules(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A running system; the tests that share it leave it as it is."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "app.py").write_text(APP)
    with serving(folder) as system:
        yield system


@pytest.fixture
def in_served(served: Served, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder is that of a running system."""
    monkeypatch.chdir(served.folder)
    return served.folder

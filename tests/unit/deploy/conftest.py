"""An app to make images of."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.documents import forget_modules
from tests.unit.deploy.sample_app import SampleApp


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty project, which is the current folder; what is imported from it is forgotten."""
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    yield tmp_path
    sys.path[:] = path
    forget_modules(tmp_path)


@pytest.fixture
def sample(project: Path) -> SampleApp:
    """An app with an encoder and an inline service."""
    return SampleApp(project)

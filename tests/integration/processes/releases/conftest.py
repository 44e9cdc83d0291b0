"""What the tests of releases begin with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.processes.releases.shelf import Shelf


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)

"""What tests of the controller share."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture
def collected() -> Iterator[None]:
    """What a test leaves to the collector is collected in it: in another one its warnings would count as that one's."""
    yield
    gc.collect()

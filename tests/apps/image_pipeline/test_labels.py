"""The labels beside a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.image_pipeline.errors import ModelError
from apps.image_pipeline.labels import FILE, NAMES, read_labels


def test_they_are_read_in_order(artifacts: Path) -> None:
    assert read_labels(artifacts / "classifier") == list(NAMES)


@pytest.mark.parametrize("content", [None, "", "{}", "[]", "[1]"])
def test_what_is_no_list_of_names_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / FILE).write_text(content)
    with pytest.raises(ModelError, match=FILE):
        read_labels(tmp_path)

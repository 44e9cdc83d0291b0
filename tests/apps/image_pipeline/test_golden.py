"""The picture with a known answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.image_pipeline.errors import ModelError
from apps.image_pipeline.golden import FILE, Golden, read_golden, sample_picture, write_golden
from apps.image_pipeline.images import decode


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    golden = Golden(sample_picture(), 3, 0.5)
    write_golden(tmp_path, golden)
    assert read_golden(tmp_path) == golden


def test_the_sample_is_a_picture_and_always_the_same() -> None:
    assert sample_picture() == sample_picture()
    assert decode(sample_picture()).shape == (96, 128, 3)


@pytest.mark.parametrize(
    "content", [None, "", "[]", '{"picture": "x"}', '{"picture": 3, "index": 1, "probability": 1}']
)
def test_what_is_none_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / FILE).write_text(content)
    with pytest.raises(ModelError, match=FILE):
        read_golden(tmp_path)

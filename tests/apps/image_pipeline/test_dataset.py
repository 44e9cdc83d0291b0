"""CIFAR-10 from files."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from apps.image_pipeline.errors import DatasetError
from apps.image_pipeline.training.dataset import read


def pictures(folder: Path, size: int = 32) -> Path:
    for part, label, value in (("train", "dog", 10), ("train", "bird", 200), ("test", "dog", 90)):
        path = folder / part / label / "1.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (size, size), (value, value, value)).save(path)
    (folder / "train" / "README.txt").write_text("not a picture")
    return folder


@pytest.mark.parametrize("packed", [False, True])
def test_folders_and_archives_give_the_same(tmp_path: Path, packed: bool) -> None:
    path = pictures(tmp_path / "data")
    if packed:
        with tarfile.open(tmp_path / "data.tar.xz", "w:xz") as archive:
            archive.add(path, "CIFAR")
        path = tmp_path / "data.tar.xz"
    parts = read(path)
    assert parts["train"].pictures.shape == (2, 32, 32, 3)
    assert parts["train"].labels.tolist() == [2, 5]  # by their names: bird before dog
    assert abs(int(parts["train"].pictures[0, 0, 0, 0]) - 200) < 3
    assert parts["test"].labels.dtype == np.int64


def test_what_is_not_the_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="64 x 64 pixels; expected 32 x 32"):
        read(pictures(tmp_path / "large", 64))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="has no pictures"):
        read(tmp_path / "empty")
    with pytest.raises(DatasetError, match="cannot be read"):
        read(tmp_path / "absent")

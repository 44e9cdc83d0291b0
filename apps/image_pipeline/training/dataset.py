"""CIFAR-10 as arrays, from JPEG files in ``train/<class>/`` and ``test/<class>/``, in a folder or a tar archive."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from apps.image_pipeline.errors import DatasetError
from apps.image_pipeline.images import SIDE
from apps.image_pipeline.labels import NAMES

PARTS = ("train", "test")


@dataclass(frozen=True)
class Part:
    """Pictures (n x 32 x 32 x 3, uint8) and the numbers of their labels (n, int64)."""

    pictures: NDArray[np.uint8]
    labels: NDArray[np.int64]


def read(path: Path) -> dict[str, Part]:
    """Both parts.

    Raises:
        DatasetError: it cannot be read, or something in it is not a picture of the set.
    """
    found: dict[str, list[tuple[str, int, NDArray[np.uint8]]]] = {part: [] for part in PARTS}
    try:
        for name, content in _files(path):
            part, label = PurePosixPath(name).parts[-3:-1]
            found[part].append((name, NAMES.index(label), _picture(name, content)))
    except (OSError, tarfile.TarError) as error:
        raise DatasetError(f"{path}: cannot be read: {error}") from error
    parts = {}
    for part, pictures in found.items():
        if not pictures:
            raise DatasetError(f"{path}: has no pictures {part}/<class>/*.jpg with classes {', '.join(NAMES)}")
        # In the order of their names, whatever the order in the archive.
        pictures.sort(key=lambda one: one[0])
        parts[part] = Part(
            np.stack([picture for _, _, picture in pictures]), np.array([label for _, label, _ in pictures], np.int64)
        )
    return parts


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for file in path.rglob("*.jpg"):
            if _belongs(str(file.relative_to(path))):
                yield str(file.relative_to(path)), file.read_bytes()
        return
    with tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() and _belongs(member.name) else None
            if content is not None:
                yield member.name, content.read()


def _belongs(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return len(parts) >= 3 and parts[-1].endswith(".jpg") and parts[-3] in PARTS and parts[-2] in NAMES


def _picture(name: str, content: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(content), formats=("JPEG",)) as picture:
        if picture.size != (SIDE, SIDE):
            raise DatasetError(f"{name}: {picture.size[0]} x {picture.size[1]} pixels; expected {SIDE} x {SIDE}")
        return np.asarray(picture.convert("RGB"))

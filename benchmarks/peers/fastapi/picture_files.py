"""Tensors in files of /dev/shm: the apps pass on a name instead of 602,112 bytes.

SHM names the folder of such files; whoever is the front makes and removes it.
"""

from __future__ import annotations

import itertools
import mmap
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from picture_model import TENSOR_BYTES, tensor_from

_numbers = itertools.count()


@contextmanager
def folder() -> Iterator[None]:
    """The folder exists within this context."""
    Path(os.environ["SHM"]).mkdir()
    try:
        yield
    finally:
        shutil.rmtree(os.environ["SHM"])


def put(tensor: bytes | memoryview) -> bytes:
    """Write a tensor's bytes into a file of its own; returns its path."""
    path = Path(os.environ["SHM"], str(next(_numbers)))
    path.write_bytes(tensor)
    return str(path).encode()


def take(name: bytes) -> NDArray[np.float32]:
    """Map the tensor that a file holds; the file goes with the array."""
    path = Path(bytes(name).decode())
    with path.open("r+b") as file:
        path.unlink()
        return tensor_from(memoryview(mmap.mmap(file.fileno(), TENSOR_BYTES, mmap.MAP_SHARED | mmap.MAP_POPULATE)))

"""Outputs as bytes, in an answer or in shared memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kapelle.errors import InvalidInput
from kapelle.gateway.protocols import regions as memory
from kapelle.gateway.protocols.inference import Place, Produced
from kapelle.gateway.protocols.regions import Region, Regions
from kapelle.gateway.protocols.results import as_bytes, into_memory


@pytest.mark.parametrize(
    ("produced", "data"),
    [
        (Produced("y", "FP32", (1,), np.array([1], np.float32)), b"\x00\x00\x80\x3f"),
        (Produced("y", "BF16", (1,), np.array([1], np.float32)), b"\x80\x3f"),
        (Produced("y", "BOOL", (2,), np.array([True, False])), b"\x01\x00"),
        (Produced("y", "BYTES", (1,), [b"ab"]), b"\x02\x00\x00\x00ab"),
    ],
    ids=lambda value: value.datatype if isinstance(value, Produced) else "",
)
def test_as_bytes(produced: Produced, data: bytes) -> None:
    assert bytes(as_bytes(produced)) == data


def test_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MEMORY", tmp_path)
    (tmp_path / "out").write_bytes(bytes(20))
    regions = Regions(tmp_path / "regions")
    regions.register(Region("r", "/out", 0, 20))
    produced = Produced("y", "UINT8", (3,), np.array([1, 2, 3], np.uint8))
    said: dict[str, Any] = {"shared_memory_region": "r", "shared_memory_byte_size": 3}
    assert into_memory(produced, Place("r", 0, 10), regions) == said
    assert into_memory(produced, Place("r", 8, 10), regions) == {**said, "shared_memory_offset": 8}
    assert (tmp_path / "out").read_bytes()[:12] == bytes([1, 2, 3, 0, 0, 0, 0, 0, 1, 2, 3, 0])
    with pytest.raises(InvalidInput, match="takes 3 bytes"):
        into_memory(produced, Place("r", 0, 2), regions)

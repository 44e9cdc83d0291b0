"""Outputs of an inference as bytes, in an answer or in shared memory."""

from __future__ import annotations

from typing import Any

from kapelle.gateway.protocols.inference import Place, Produced
from kapelle.gateway.protocols.regions import Regions
from kapelle.oip.datatypes import BF16, Data, bfloat16, write_bytes, write_numbers


def as_bytes(produced: Produced) -> Data:
    """The raw bytes of an output."""
    value = produced.value
    if isinstance(value, list):
        return write_bytes(value)
    return write_numbers(bfloat16(value) if produced.datatype == BF16 else value)


def into_memory(produced: Produced, place: Place, regions: Regions) -> dict[str, Any]:
    """Put an output where the client wants it; what the answer then says of it.

    Raises:
        InvalidInput: it does not fit there.
    """
    data = as_bytes(produced)
    regions.write(place.region, place.offset, place.size, data)
    said: dict[str, Any] = {"shared_memory_region": place.region, "shared_memory_byte_size": len(data)}
    return said | ({"shared_memory_offset": place.offset} if place.offset else {})

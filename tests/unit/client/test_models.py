from __future__ import annotations

import msgspec

from kapelle.client.models import ModelMetadata, ModelState, TensorMetadata


def test_other_servers_may_say_less() -> None:
    assert msgspec.json.decode(b'{"name":"M"}', type=ModelState) == ModelState("M", "", "", "")
    assert msgspec.json.decode(b'{"name":"M","more":1}', type=ModelMetadata) == ModelMetadata("M")


def test_tensors() -> None:
    given = b'{"name":"x","datatype":"FP32","shape":[-1,3]}'
    assert msgspec.json.decode(given, type=TensorMetadata) == TensorMetadata("x", "FP32", [-1, 3])

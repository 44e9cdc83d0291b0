"""Shapes that an annotation declares."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

import kapelle
from kapelle.errors import DeclarationError, InvalidInput
from kapelle.types.tensor import Tensor, fits, without_tensor

Vector = NDArray[np.float32]


def test_named_dimensions_have_any_size() -> None:
    tensor = Tensor("n", 3, "width", name="x")
    assert tensor.sizes == (-1, 3, -1)
    assert tensor.row.sizes == (3, -1)
    assert repr(tensor) == "Tensor('n', 3, 'width')"
    tensor.check(np.zeros((0, 3, 5)), "$.x")
    with pytest.raises(InvalidInput, match="of shape n x 3 x width, got 2 x 4 x 1") as refused:
        tensor.check(np.zeros((2, 4, 1)), "$.x")
    assert refused.value.path == "$.x"


@pytest.mark.parametrize(
    ("shape", "sizes", "fitting"),
    [((), (), True), ((1,), (), False), ((2, 3), (-1, 3), True), ((2, 3), (3,), False), ((0,), (-1,), True)],
)
def test_fits(shape: tuple[int, ...], sizes: tuple[int, ...], fitting: bool) -> None:
    assert fits(shape, sizes) is fitting


@pytest.mark.parametrize("dimension", [-1, 1.5, True, None])
def test_dimensions_are_sizes_or_names(dimension: Any) -> None:
    with pytest.raises(DeclarationError, match="a size, or a name"):
        Tensor(dimension)


def test_only_bf16_is_a_datatype_of_its_own() -> None:
    assert Tensor(3, datatype="BF16").row.datatype == "BF16"
    with pytest.raises(DeclarationError, match="expected BF16"):
        Tensor(3, datatype="FP32")  # type: ignore[arg-type]  # that is the point


def test_other_markers_stay() -> None:
    meta, tensor = msgspec.Meta(description="x"), Tensor(3)
    assert without_tensor(Vector) == (Vector, None)
    assert without_tensor(Annotated[Vector, tensor]) == (Vector, tensor)
    assert without_tensor(Annotated[Vector, meta, tensor]) == (Annotated[Vector, meta], tensor)
    assert without_tensor(Annotated[int, meta]) == (Annotated[int, meta], None)


def test_only_arrays_have_shapes() -> None:
    with pytest.raises(DeclarationError, match="expected an array"):

        @kapelle.service
        class Wrong:
            @kapelle.method
            def run(self, x: Annotated[int, Tensor(3)]) -> int:
                return x

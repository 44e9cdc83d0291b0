"""``Tensor``: what an annotation adds to an array type, so that others know its name and shape, and both are checked."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args, get_origin

from kapelle.errors import DeclarationError, InvalidInput
from kapelle.types.arrays import Array

Dimension = int | str


class Tensor:
    """The shape of an array, and its name where others ask for it: ``Annotated[NDArray[np.float32], Tensor(3, 32, 32)]``.

    A dimension that is a name, as in ``Tensor("n", 3, 32, 32)``, may have any size. What does not fit is refused before
    user code sees it. ``name`` is that of the tensor to clients of the Open Inference Protocol; it is the parameter's own
    if none is given, and ``output`` for what is returned. ``datatype`` is that of the array's dtype, unless it is given
    as BF16, which NumPy does not have: then clients see BF16, and user code float32.
    """

    __slots__ = ("datatype", "name", "shape")

    def __init__(self, *shape: Dimension, name: str = "", datatype: Literal["", "BF16"] = "") -> None:
        """Declare a shape.

        Raises:
            DeclarationError: a dimension is neither a size nor a name, or ``datatype`` is another one.
        """
        if datatype not in ("", "BF16"):
            raise DeclarationError(
                f"Tensor has datatype {datatype!r}; expected BF16: all others follow from the array's dtype"
            )
        for extent in shape:
            if not (isinstance(extent, str) or (type(extent) is int and extent >= 0)):
                raise DeclarationError(f"Tensor has a dimension {extent!r}; expected a size, or a name for any size")
        self.shape = shape
        self.name = name
        self.datatype = datatype

    def __repr__(self) -> str:
        return f"Tensor({', '.join(map(repr, self.shape))})"

    @property
    def sizes(self) -> tuple[int, ...]:
        """The shape in numbers; -1 is any size."""
        return tuple(extent if isinstance(extent, int) else -1 for extent in self.shape)

    @property
    def row(self) -> Tensor:
        """One of what the first dimension counts."""
        return Tensor(*self.shape[1:], name=self.name, datatype=self.datatype)

    def check(self, array: Array, path: str) -> None:
        """Refuse an array of another shape.

        Raises:
            InvalidInput: naming what was expected; ``path`` says where the array stands.
        """
        if not fits(array.shape, self.sizes):
            raise InvalidInput(f"expected an array of shape {shown(self.shape)}, got {shown(array.shape)}", path=path)


def fits(shape: tuple[int, ...], sizes: tuple[int, ...]) -> bool:
    """Whether ``shape`` is one of ``sizes``, where -1 is any size."""
    return len(shape) == len(sizes) and all(
        extent == size or size < 0 for extent, size in zip(shape, sizes, strict=True)
    )


def shown(shape: tuple[Dimension, ...]) -> str:
    """A shape for people: ``n x 3 x 32 x 32``."""
    return " x ".join(map(str, shape)) or "()"


def without_tensor(annotation: Any) -> tuple[Any, Tensor | None]:
    """An annotation without its ``Tensor``, and that."""
    if get_origin(annotation) is not Annotated:
        return annotation, None
    plain, *markers = get_args(annotation)
    tensors = [one for one in markers if isinstance(one, Tensor)]
    if not tensors:
        return annotation, None
    rest = [one for one in markers if not isinstance(one, Tensor)]
    return (Annotated[(plain, *rest)] if rest else plain), tensors[-1]

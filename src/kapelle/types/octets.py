"""Bytes as users have them (``bytes``, ``bytearray``, ``memoryview``), which travel beside a message when they are large.

msgspec would copy them into the message, and out of it again. Where one of these types is declared, the sender takes
large ones out, and the receiver decodes by a type of ours, which knows both forms. Within other types, as a field of a
dataclass, they stay in the message.
"""

from __future__ import annotations

from collections.abc import Callable
from types import GenericAlias
from typing import Any, get_args, get_origin

import msgspec

Octets = bytes | bytearray | memoryview

OCTETS = (bytes, bytearray, memoryview)

_ARRAYS = (list, tuple)


class StandIn(type):
    """The type of the types that receivers decode by, of which what these stand for is an instance, too."""

    octets: type[Any]

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, cls.octets)


class _Bytes(metaclass=StandIn):
    octets = bytes


class _ByteArray(metaclass=StandIn):
    octets = bytearray


class _MemoryView(metaclass=StandIn):
    octets = memoryview


_STAND_INS: dict[Any, Any] = {one.octets: one for one in (_Bytes, _ByteArray, _MemoryView)}


def is_octets(annotation: Any) -> bool:
    """Whether ``annotation`` is one of ``OCTETS``."""
    return annotation in OCTETS


def received_as(annotation: Any) -> Any:
    """The type by which a receiver decodes what was declared as ``annotation``, here or within lists and tuples."""
    if is_octets(annotation):
        return _STAND_INS[annotation]
    origin, parts = get_origin(annotation), get_args(annotation)
    received = tuple(map(received_as, parts)) if origin is list or origin is tuple else parts
    return annotation if received == parts else GenericAlias(origin, received)


def as_octets(stand_in: StandIn, value: Any) -> Octets:
    """``value``, from the message or from beside it, as what ``stand_in`` stands for; a view is not to be written to.

    Raises:
        ValueError: it is something else.
    """
    kind = stand_in.octets
    if type(value) is not bytes and type(value) is not memoryview:
        try:
            msgspec.convert(value, kind, builtin_types=OCTETS)
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from None  # where it stands is added to this one
    octets: Octets = value if type(value) is kind else kind(value)
    return octets


def taker(annotation: Any, take: Callable[[Octets], Any]) -> Callable[[Any], Any] | None:
    """What has ``take`` replace the octets of a value that is declared as ``annotation``; None where it has none.

    They are looked for where ``received_as`` looks. What is not of the type stays as it is: the receiver says so.
    """
    if is_octets(annotation):
        return lambda value: take(value) if type(value) in OCTETS else value
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is list or (origin is tuple and parts[1:] == (...,)):
        return _each(taker(parts[0], take))
    if origin is tuple:
        return _several([taker(part, take) for part in parts])
    return None


def _each(taker: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    if taker is None:
        return None
    return lambda values: [taker(one) for one in values] if type(values) in _ARRAYS else values


def _several(takers: list[Callable[[Any], Any] | None]) -> Callable[[Any], Any] | None:
    those = [(at, one) for at, one in enumerate(takers) if one is not None]
    if not those:
        return None

    def take(values: Any) -> Any:
        if type(values) not in _ARRAYS or len(values) != len(takers):
            return values
        taken = list(values)
        for at, one in those:
            taken[at] = one(taken[at])
        return taken

    return take

"""Values (arguments and results) as msgpack, with large arrays and bytes beside it.

Small arrays are embedded in the msgpack; from ``INLINE_LIMIT`` bytes on, only a header and an offset are, and the raw
bytes travel in the frame's body: they are not copied here, and the receiver's array is a view of the buffer the socket
filled. So do bytes, where they are declared as such.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import numpy as np

from kapelle.errors import InvalidInput, WireError
from kapelle.types.arrays import Array, ArrayHeader, from_buffer, portable
from kapelle.types.hooks import from_wire, to_wire
from kapelle.types.octets import Octets, received_as, taker
from kapelle.wire.body import Body, Buffer, cut

INLINE_LIMIT = 4096
ALIGNMENT = 16

_PATH = re.compile(r"(.*) - at `\$([^`]*)`", re.DOTALL)

_INLINE = 1
_SEGMENT = 2
_OCTETS = 3


class _Inline(msgspec.Struct, frozen=True, array_like=True, gc=False):
    header: ArrayHeader
    data: bytes


class _Segment(msgspec.Struct, frozen=True, array_like=True, gc=False):
    header: ArrayHeader
    offset: int
    size: int


class _Beside(msgspec.Struct, frozen=True, array_like=True, gc=False):
    offset: int
    size: int


_plain = msgspec.msgpack.Encoder().encode
_decode_inline = msgspec.msgpack.Decoder(_Inline).decode
_decode_segment = msgspec.msgpack.Decoder(_Segment).decode
_decode_beside = msgspec.msgpack.Decoder(_Beside).decode


class Payload(NamedTuple):
    """An encoded value: ``data`` is msgpack, ``segments`` what is large in it, padded to ``ALIGNMENT``."""

    data: msgspec.Raw
    segments: tuple[Buffer, ...] = ()

    @property
    def size(self) -> int:
        """All bytes of it."""
        return len(memoryview(self.data)) + sum(map(len, self.segments))


class Packer:
    """Encodes values of one type. Not for use by several threads at once: it collects the segments of one at a time.

    Who decodes has to know the type as well; by ``Any``, bytes are those of the message.
    """

    def __init__(self, annotation: Any = Any) -> None:
        self._take = taker(annotation, self._octets)
        self._segments: list[Buffer] = []
        self._offset = 0
        self._encode = msgspec.msgpack.Encoder(enc_hook=self._hook).encode

    def __call__(self, value: Any) -> Payload:
        """``value`` as a payload.

        Raises:
            InvalidInput: it holds something that cannot travel.
        """
        segments = self._segments
        self._offset = 0
        try:
            if self._take is not None:
                value = self._take(value)
            return Payload(msgspec.Raw(self._encode(value)), tuple(segments))
        except (NotImplementedError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise InvalidInput(str(error)) from None
        finally:
            # Nothing of the value is kept: its arrays live no longer than their users want.
            segments.clear()

    def _hook(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return self._array(value)
        return to_wire(value)

    def _array(self, value: Array) -> msgspec.msgpack.Ext:
        array = portable(value)
        header = ArrayHeader(array.dtype.str, array.shape)
        if array.nbytes < INLINE_LIMIT:
            return msgspec.msgpack.Ext(_INLINE, _plain(_Inline(header, array.tobytes())))
        raw = array.reshape(-1).view(np.uint8).data
        return msgspec.msgpack.Ext(_SEGMENT, _plain(_Segment(header, self._put(raw), len(raw))))

    def _octets(self, value: Octets) -> Any:
        raw: Buffer = value
        if type(value) is not bytes:
            # A view of a bytearray, too: who sends it can see by that that it may be written to.
            view = memoryview(value)
            large = view.nbytes >= INLINE_LIMIT and view.c_contiguous
            raw = np.frombuffer(view, np.uint8).data if large else view.tobytes()
        if len(raw) < INLINE_LIMIT:
            return raw
        return msgspec.msgpack.Ext(_OCTETS, _plain(_Beside(self._put(raw), len(raw))))

    def _put(self, raw: Buffer) -> int:
        """Have ``raw`` travel beside the message; where it begins there."""
        offset = self._offset
        self._segments.append(raw)
        padding = -len(raw) % ALIGNMENT
        if padding:
            self._segments.append(bytes(padding))
        self._offset += len(raw) + padding
        return offset


class Unpacker:
    """Decodes and validates values of one type. Not for use by several threads at once."""

    def __init__(self, annotation: Any) -> None:
        self._body: Body = b""
        self._decode: Callable[[Any], Any] = msgspec.msgpack.Decoder(
            received_as(annotation), dec_hook=from_wire, ext_hook=self._extension
        ).decode

    def __call__(self, data: msgspec.Raw, body: Body = b"") -> Any:
        """The value of ``data``, whose large arrays lie in ``body``.

        Raises:
            InvalidInput: the value is not of this type; ``path`` names the place.
            WireError: the bytes are not a payload.
        """
        self._body = body
        try:
            return self._decode(data)
        except msgspec.ValidationError as error:
            detail, path = split_path(str(error))
            if detail.endswith("got `ext`"):
                # To who reads that, an array is one of NumPy's.
                detail = detail.replace("`array`", "`list`").replace("`ext`", "`ndarray`")
            raise InvalidInput(detail, path=path) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise WireError(f"not a payload: {error}") from None
        finally:
            self._body = b""

    def _extension(self, code: int, data: memoryview) -> Array | memoryview:
        try:
            if code == _INLINE:
                inline = _decode_inline(data)
                return from_buffer(inline.header, inline.data)
            if code == _SEGMENT:
                segment = _decode_segment(data)
                return from_buffer(segment.header, self._beside(segment.offset, segment.size))
            if code == _OCTETS:
                octets = _decode_beside(data)
                return self._beside(octets.offset, octets.size)
        except msgspec.DecodeError as error:
            raise WireError(f"not an array, nor bytes: {error}") from None
        raise WireError(f"unknown msgpack extension {code}")

    def _beside(self, offset: int, size: int) -> memoryview:
        # Large ones may lie in memory that several processes see: nobody is to write to any.
        return cut(self._body, offset, offset + size).toreadonly()


def split_path(message: str) -> tuple[str, str]:
    """msgspec's ``"Expected `int`, got `str` - at `$.a[0]`"`` as (message, path).

    A path inside a model that is not msgspec's own stands before the path of that model; they are joined.
    """
    path = "$"
    while found := _PATH.fullmatch(message):
        message = found[1]
        path += found[2]
    return message, path

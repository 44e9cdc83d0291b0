"""Frames: how messages are cut out of a stream of bytes.

    | head length u32 | body length u32 | head (msgpack) | body (raw bytes of large arrays) |

Little-endian. The reader does no I/O: whoever owns the socket asks it for a buffer, fills it and says how much came.
Small frames share one buffer and one read; a large body is received straight into memory of its own, without a copy.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from kapelle.errors import WireError
from kapelle.wire.body import Body, Buffer

_LENGTHS = struct.Struct("<II")
_read_lengths = _LENGTHS.unpack_from
_new_tuple = tuple.__new__  # what Frame(...) ends in, without the detour: this is done once per call
PREFIX = _LENGTHS.size

MAX_HEAD = 32 << 20
MAX_BODY = 1 << 30

_SHARED_BUFFER = 256 << 10


class Frame(NamedTuple):
    """One frame: ``head`` is a message, ``body`` the segments it points into (empty for most)."""

    head: bytes
    body: Body = b""


def encode(head: bytes, segments: Sequence[Buffer] = ()) -> list[Buffer]:
    """The buffers to write for one frame, in order; segments are not copied.

    Raises:
        WireError: ``head`` is empty, or the frame is larger than any reader takes.
    """
    size = sum(map(len, segments)) if segments else 0
    if not head or len(head) > MAX_HEAD or size > MAX_BODY:
        raise WireError(f"a frame of {len(head)} + {size} bytes; expected 1 to {MAX_HEAD} + {MAX_BODY}")
    return [_LENGTHS.pack(len(head), size) + head, *segments]


class FrameReader:
    """Cuts a stream of bytes into frames, within limits."""

    def __init__(self, *, max_head: int = MAX_HEAD, max_body: int = MAX_BODY) -> None:
        self._max_head = max_head
        self._max_body = max_body
        self._shared = bytearray(_SHARED_BUFFER)
        self._view = memoryview(self._shared)
        self._have = 0
        self._large: tuple[bytearray, bytearray] | None = None
        self._got = 0

    def get_buffer(self) -> memoryview:
        """Where the next bytes belong; never empty."""
        if self._large is None:
            return self._view[self._have :]
        head, body = self._large
        if self._got < len(head):
            return memoryview(head)[self._got :]
        return memoryview(body)[self._got - len(head) :]

    def received(self, count: int) -> list[Frame]:
        """``count`` bytes were put into the buffer: the frames that are now whole.

        Raises:
            WireError: a frame is larger than the limits; the stream cannot be read any further.
        """
        if self._large is not None:
            return self._received_large(count)
        self._have += count
        frames: list[Frame] = []
        offset = 0
        have = self._have
        view = self._view
        while have - offset >= PREFIX:
            head, body = _read_lengths(view, offset)
            if head > self._max_head or body > self._max_body or head == 0:
                raise WireError(f"a frame of {head} + {body} bytes; expected 1 to {self._max_head} + {self._max_body}")
            start = offset + PREFIX
            end = start + head + body
            if end <= have:
                middle = start + head
                # A bytearray, as for large bodies: it is its receiver's own.
                pair = view[start:middle].tobytes(), bytearray(view[middle:end]) if body else b""
                frames.append(_new_tuple(Frame, pair))
                offset = end
                continue
            if head + body > _SHARED_BUFFER - PREFIX:
                self._begin_large(head, body, view[start:have])
                return frames
            break
        if offset:
            rest = have - offset
            if rest:
                view[:rest] = bytes(view[offset:have])
            self._have = rest
        return frames

    def eof(self) -> None:
        """The stream has ended.

        Raises:
            WireError: it ended within a frame.
        """
        if self._large is not None:
            expected = sum(map(len, self._large))
            raise WireError(f"the stream ended after {self._got} of a frame's {expected} bytes")
        if self._have:
            raise WireError(f"the stream ended {self._have} bytes into a frame")

    def _begin_large(self, head: int, body: int, begun: memoryview) -> None:
        self._large = (bytearray(head), bytearray(body))
        self._got = len(begun)
        in_head = begun[:head]
        self._large[0][: len(in_head)] = in_head
        self._large[1][: len(begun) - len(in_head)] = begun[head:]
        self._have = 0

    def _received_large(self, count: int) -> list[Frame]:
        assert self._large is not None
        self._got += count
        head, body = self._large
        if self._got < len(head) + len(body):
            return []
        self._large = None
        return [Frame(bytes(head), body)]

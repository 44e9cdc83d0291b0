"""However a stream is cut, the same frames come out of it; what is too large or ends early is an error."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from itertools import repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kapelle.errors import WireError
from kapelle.wire.frames import MAX_BODY, MAX_HEAD, PREFIX, Frame, FrameReader, encode

SHARED = 256 << 10
"""Bytes of the reader's shared buffer: beyond it a frame takes another way."""

lengths = st.integers(0, 300) | st.sampled_from([SHARED - PREFIX - 1, SHARED - PREFIX, SHARED - PREFIX + 1, 2 * SHARED])
contents = st.builds(lambda length, byte: bytes([byte]) * length, lengths, st.integers(0, 255))
frames = st.builds(Frame, contents.filter(bool), contents)


def on_the_wire(frame: Frame) -> bytes:
    return b"".join(encode(frame.head, [bytes(frame.body)]))


def feed(reader: FrameReader, data: bytes, cuts: Iterable[int] = ()) -> list[Frame]:
    """Hand ``data`` over in pieces of the lengths ``cuts``, then as much at a time as there is room."""
    found: list[Frame] = []
    pieces = iter(cuts)
    rest = memoryview(data)
    while rest:
        buffer = reader.get_buffer()
        assert len(buffer), "there is always room"
        count = min(next(pieces, len(buffer)), len(buffer), len(rest))
        buffer[:count] = rest[:count]
        rest = rest[count:]
        found += reader.received(count)
    return found


@given(sent=st.lists(frames, max_size=6), cuts=st.lists(st.integers(1, 2 * SHARED), max_size=20))
def test_any_split_of_a_stream_gives_the_same_frames(sent: list[Frame], cuts: list[int]) -> None:
    reader = FrameReader()
    assert feed(reader, b"".join(map(on_the_wire, sent)), cuts) == sent
    reader.eof()


@given(sent=st.lists(st.builds(Frame, st.binary(min_size=1, max_size=30), st.binary(max_size=30)), max_size=8))
def test_byte_by_byte(sent: list[Frame]) -> None:
    reader = FrameReader()
    assert feed(reader, b"".join(map(on_the_wire, sent)), repeat(1)) == sent
    reader.eof()


@given(frame=frames, data=st.data())
def test_an_end_in_the_middle_of_a_frame_is_an_error(frame: Frame, data: st.DataObject) -> None:
    whole = on_the_wire(frame)
    end = data.draw(st.integers(1, len(whole) - 1))
    reader = FrameReader()
    assert feed(reader, whole[:end]) == []
    with pytest.raises(WireError, match="the stream ended"):
        reader.eof()


def test_an_end_says_how_far_it_came() -> None:
    reader = FrameReader()
    feed(reader, on_the_wire(Frame(b"head"))[:5])
    with pytest.raises(WireError, match="the stream ended 5 bytes into a frame"):
        reader.eof()
    reader = FrameReader()
    feed(reader, on_the_wire(Frame(b"head", bytes(SHARED)))[: PREFIX + 100])
    with pytest.raises(WireError, match=f"the stream ended after 100 of a frame's {SHARED + 4} bytes"):
        reader.eof()


@pytest.mark.parametrize(("head", "body"), [(17, 0), (1, 33), (0, 0), (0, 5), (2**32 - 1, 2**32 - 1)])
def test_a_frame_beyond_the_limits_is_refused_by_its_lengths_alone(head: int, body: int) -> None:
    reader = FrameReader(max_head=16, max_body=32)
    with pytest.raises(WireError, match=rf"a frame of {head} \+ {body} bytes; expected 1 to 16 \+ 32"):
        feed(reader, struct.pack("<II", head, body))


def test_a_frame_at_the_limits_is_taken() -> None:
    frame = Frame(b"h" * 16, b"b" * 32)
    assert feed(FrameReader(max_head=16, max_body=32), on_the_wire(frame)) == [frame]


@pytest.mark.parametrize("size", [100, SHARED])
def test_the_body_may_be_written_to_and_is_nobody_elses(size: int) -> None:
    first, second = feed(FrameReader(), on_the_wire(Frame(b"h", bytes(size))) * 2)
    assert isinstance(first.body, bytearray)
    assert isinstance(second.body, bytearray)
    first.body[:] = b"x" * size
    assert second.body == bytes(size)


def test_segments_are_written_one_after_the_other_without_a_copy() -> None:
    segment = bytearray(b"abc")
    buffers = encode(b"head", [segment, b"", memoryview(b"de")])
    assert buffers[1] is segment
    assert feed(FrameReader(), b"".join(buffers)) == [Frame(b"head", b"abcde")]


def test_nothing_is_sent_that_no_reader_takes() -> None:
    with pytest.raises(WireError, match=r"a frame of 0 \+ 3 bytes; expected 1 to"):
        encode(b"", [b"abc"])
    with pytest.raises(WireError):
        encode(bytes(MAX_HEAD + 1))
    too_much = memoryview(bytes(MAX_HEAD))
    with pytest.raises(WireError):
        encode(b"head", [too_much] * (MAX_BODY // MAX_HEAD) + [b"x"])

"""The frame parser against anything at all: bytes from nowhere, cut anywhere."""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from kapelle.errors import WireError
from kapelle.wire import messages
from kapelle.wire.frames import PREFIX, Frame, FrameReader

MAX_HEAD, MAX_BODY = 600 << 10, 600 << 10

soup = st.binary(max_size=400)
small_lengths = st.builds(struct.pack, st.just("<II"), st.integers(0, 40), st.integers(0, 40))
any_lengths = st.builds(struct.pack, st.just("<II"), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
long_run = st.builds(bytes, st.integers(1, 300 << 10))
streams = st.lists(soup | small_lengths | any_lengths | long_run, max_size=12).map(b"".join)
decode = messages.Decoder[messages.Message](messages.ToReplica)


def by_the_book(stream: bytes) -> tuple[list[Frame], bool, bool]:
    """The frames, whether a limit is broken after them, and whether the stream ends between two frames."""
    frames: list[Frame] = []
    at = 0
    while len(stream) - at >= PREFIX:
        head, body = struct.unpack_from("<II", stream, at)
        if not head or head > MAX_HEAD or body > MAX_BODY:
            return frames, True, False
        if len(stream) - at - PREFIX < head + body:
            break
        at += PREFIX
        frames.append(Frame(stream[at : at + head], stream[at + head : at + head + body]))
        at += head + body
    return frames, False, at == len(stream)


def read(stream: bytes, cuts: list[int]) -> tuple[list[Frame], bool, bool]:
    reader = FrameReader(max_head=MAX_HEAD, max_body=MAX_BODY)
    frames: list[Frame] = []
    at = turn = 0
    try:
        while at < len(stream):
            buffer = reader.get_buffer()
            count = min(len(buffer), len(stream) - at, cuts[turn % len(cuts)])
            assert count > 0
            buffer[:count] = stream[at : at + count]
            at += count
            turn += 1
            frames += reader.received(count)
    except WireError:
        return frames, True, False
    try:
        reader.eof()
    except WireError:
        return frames, False, False
    return frames, False, True


@settings(max_examples=300)
@given(stream=streams, cuts=st.lists(st.integers(1, 100_000), min_size=1, max_size=20))
def test_it_reads_what_the_format_says_and_nothing_else(stream: bytes, cuts: list[int]) -> None:
    expected_frames, broken, whole = by_the_book(stream)
    frames, was_broken, was_whole = read(stream, cuts)
    assert (was_broken, was_whole) == (broken, whole)
    # Where a limit is broken, frames of the same read are lost with the connection; none is made up.
    assert frames == expected_frames[: len(frames)]
    assert broken or len(frames) == len(expected_frames)


@settings(max_examples=300)
@given(stream=streams)
def test_what_it_reads_is_a_message_or_refused(stream: bytes) -> None:
    for frame in read(stream, [len(stream) or 1])[0]:
        try:
            message = decode(frame.head)
        except WireError:
            continue
        assert messages.encode(message)

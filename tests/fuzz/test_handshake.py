"""The handshake of links against anything at all: nobody gets in without the secret, and nothing but refusals comes out."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from kapelle.transport.handshake import MAX_GREETING, Dialling, Listening, RefusedError

SECRET = b"what only the processes of one system know"
LINK = b"0123456789abcdef"

hexadecimal = st.binary(min_size=32, max_size=32).map(lambda raw: raw.hex().encode())
spoken = st.one_of(
    st.builds(
        lambda link, lane, kind, nonce: b" ".join((b"kapelle/2 hello", link, lane, kind, nonce)),
        st.sampled_from([LINK, b"0", b"", b"G"]),
        st.sampled_from([b"small", b"bulk", b"large"]),
        st.sampled_from([b"secret", b"open", b"none"]),
        hexadecimal,
    ),
    hexadecimal.map(lambda nonce: b"kapelle/2 challenge " + nonce),
    hexadecimal.map(lambda proof: b"kapelle/2 proof " + proof),
    hexadecimal.map(lambda proof: b"kapelle/2 welcome " + proof),
    st.sampled_from([b"kapelle/2 welcome", b"kapelle/1 0123 small", b"kapelle/2 refused mismatch", b"kapelle/2 "]),
    st.binary(max_size=MAX_GREETING),
)
garbled = st.builds(
    lambda said, at, byte: said[:at] + byte + said[at + 1 :], spoken, st.integers(0, 200), st.binary(max_size=2)
)
conversations = st.lists(spoken | garbled, max_size=6)


@settings(max_examples=500)
@given(conversation=conversations)
def test_nobody_is_let_in_without_the_secret(conversation: list[bytes]) -> None:
    listening = Listening(SECRET)
    for head in conversation:
        try:
            answer, trusted = listening.received(head)
        except RefusedError:
            continue  # and nothing that follows changes that
        assert not trusted
        assert re.fullmatch(rb"kapelle/2 challenge [0-9a-f]{64}", answer)


@settings(max_examples=500)
@given(conversation=conversations)
def test_nobody_is_taken_for_one_of_ours_without_the_secret(conversation: list[bytes]) -> None:
    dialling = Dialling(SECRET, LINK, b"small")
    for head in [*conversation, dialling.hello]:
        try:
            answer = dialling.received(head)
        except RefusedError:
            continue
        assert answer is not None
        assert re.fullmatch(rb"kapelle/2 proof [0-9a-f]{64}", answer)


@settings(max_examples=300)
@given(at=st.integers(0, 3), position=st.integers(0, 150), byte=st.binary(min_size=1, max_size=1), cut=st.booleans())
def test_who_changes_anything_on_the_way_ends_the_link(at: int, position: int, byte: bytes, cut: bool) -> None:
    """Somebody between two of ours changes or cuts one of the four greetings: one side refuses, or all is as it was."""
    dialling, listening = Dialling(SECRET, LINK, b"small"), Listening(SECRET)

    def carried(number: int, said: bytes) -> bytes:
        if number != at:
            return said
        return said[:position] if cut else said[:position] + byte + said[position + 1 :]

    try:
        challenge, _ = listening.received(carried(0, dialling.hello))
        proof = dialling.received(carried(1, challenge))
        assert proof is not None
        welcome, trusted = listening.received(carried(2, proof))
        assert dialling.received(carried(3, welcome)) is None
    except RefusedError:
        return
    assert trusted
    assert (listening.link, listening.lane) == (LINK, b"small")

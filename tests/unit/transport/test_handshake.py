"""Both sides prove that they know the secret; whoever does not, or plays back what others said, is found out."""

from __future__ import annotations

import re

import pytest

from kapelle.transport.handshake import MAX_GREETING, Dialling, Listening, Refusal, RefusedError, refusal_in

SECRET, OTHER = b"the secret of this system", b"the secret of another one"
LINK, LANE = b"0123456789abcdef", b"small"


def shake(dialling: Dialling, listening: Listening) -> list[bytes]:
    """The whole of it; what was said, in order."""
    said = [dialling.hello]
    while True:
        answer, trusted = listening.received(said[-1])
        said.append(answer)
        reply = dialling.received(answer)
        assert trusted is (reply is None)
        if reply is None:
            return said
        said.append(reply)


def refused(received: object, head: bytes) -> RefusedError:
    with pytest.raises(RefusedError) as found:
        received(head)  # type: ignore[operator]  # a bound method of either side
    return found.value


@pytest.mark.parametrize("secret", [SECRET, None])
def test_two_that_have_the_same_agree(secret: bytes | None) -> None:
    listening = Listening(secret)
    said = shake(Dialling(secret, LINK, LANE), listening)
    assert (listening.link, listening.lane) == (LINK, LANE)
    assert len(said) == (2 if secret is None else 4)
    assert max(map(len, said)) <= MAX_GREETING
    assert not any(SECRET in one or SECRET.hex().encode() in one for one in said)


def test_nothing_of_it_is_ever_the_same() -> None:
    first, second = (shake(Dialling(SECRET, LINK, LANE), Listening(SECRET)) for _ in range(2))
    assert not set(first) & set(second)


def test_another_secret_is_told_from_this_one_by_the_listener() -> None:
    dialling, listening = Dialling(OTHER, LINK, LANE), Listening(SECRET)
    challenge, _ = listening.received(dialling.hello)
    proof = dialling.received(challenge)
    assert proof is not None
    error = refused(listening.received, proof)
    assert error.seen is Refusal.MISMATCH
    assert refused(dialling.received, error.tell).seen is Refusal.MISMATCH


def test_who_dials_hears_nothing_to_guess_from_before_it_has_proven() -> None:
    challenge, trusted = Listening(SECRET).received(Dialling(OTHER, LINK, LANE).hello)
    assert not trusted
    assert re.fullmatch(rb"kapelle/2 challenge [0-9a-f]{64}", challenge)


def test_a_listener_that_only_pretends_is_found_out() -> None:
    dialling, pretender = Dialling(SECRET, LINK, LANE), Listening(OTHER)
    challenge, _ = pretender.received(dialling.hello)
    dialling.received(challenge)
    error = refused(dialling.received, b"kapelle/2 welcome " + b"0" * 64)
    assert error.seen is Refusal.MISMATCH


@pytest.mark.parametrize(
    ("dials", "listens", "at_dialler", "at_listener"),
    [(SECRET, None, Refusal.ABSENT, Refusal.DEMANDED), (None, SECRET, Refusal.DEMANDED, Refusal.ABSENT)],
)
def test_one_without_a_secret_is_told(
    dials: bytes | None, listens: bytes | None, at_dialler: Refusal, at_listener: Refusal
) -> None:
    dialling = Dialling(dials, LINK, LANE)
    error = refused(Listening(listens).received, dialling.hello)
    assert error.seen is at_listener
    assert refused(dialling.received, error.tell).seen is at_dialler


def test_a_process_that_greets_as_those_without_credentials_do_is_told_that_a_secret_is_demanded() -> None:
    error = refused(Listening(SECRET).received, b"kapelle/1 0123 small")
    assert error.seen is Refusal.ABSENT
    assert refusal_in(error.tell) is Refusal.DEMANDED


def test_a_listener_without_a_secret_is_not_spoken_to_by_one_with_a_secret() -> None:
    assert refused(Dialling(SECRET, LINK, LANE).received, b"kapelle/2 welcome").seen is Refusal.ABSENT


def test_a_challenge_is_no_answer_to_one_without_a_secret() -> None:
    error = refused(Dialling(None, LINK, LANE).received, b"kapelle/2 challenge " + b"0" * 64)
    assert error.seen is Refusal.DEMANDED
    assert refusal_in(error.tell) is Refusal.ABSENT


def test_a_mirror_is_no_partner() -> None:
    dialling = Dialling(SECRET, LINK, LANE)
    nonce = dialling.hello.rpartition(b" ")[2]
    assert refused(dialling.received, b"kapelle/2 challenge " + nonce).seen is Refusal.NONSENSE
    assert refused(Dialling(SECRET, LINK, LANE).received, dialling.hello).seen is Refusal.NONSENSE


def test_the_dialler_s_own_proof_sent_back_is_not_the_listener_s() -> None:
    dialling, listening = Dialling(SECRET, LINK, LANE), Listening(SECRET)
    challenge, _ = listening.received(dialling.hello)
    proof = dialling.received(challenge)
    assert proof is not None
    echoed = b"kapelle/2 welcome " + proof.rpartition(b" ")[2]
    assert refused(dialling.received, echoed).seen is Refusal.MISMATCH


def test_what_was_said_once_proves_nothing_the_next_time() -> None:
    hello, challenge, proof, welcome = shake(Dialling(SECRET, LINK, LANE), Listening(SECRET))
    listening = Listening(SECRET)
    listening.received(hello)
    assert refused(listening.received, proof).seen is Refusal.MISMATCH
    dialling = Dialling(SECRET, LINK, LANE)
    dialling.received(challenge)
    assert refused(dialling.received, welcome).seen is Refusal.MISMATCH


@pytest.mark.parametrize(("link", "lane"), [(b"fedcba9876543210", LANE), (LINK, b"bulk")])
def test_a_proof_is_of_one_link_and_one_lane(link: bytes, lane: bytes) -> None:
    """Who sits between two of ours cannot use what one says for anything else than it was said for."""
    dialling, listening = Dialling(SECRET, LINK, LANE), Listening(SECRET)
    nonce = dialling.hello.rpartition(b" ")[2]
    challenge, _ = listening.received(b" ".join((b"kapelle/2 hello", link, lane, b"secret", nonce)))
    proof = dialling.received(challenge)
    assert proof is not None
    assert refused(listening.received, proof).seen is Refusal.MISMATCH


def test_after_a_refusal_nothing_is_accepted() -> None:
    dialling, listening = Dialling(SECRET, LINK, LANE), Listening(SECRET)
    challenge, _ = listening.received(dialling.hello)
    proof = dialling.received(challenge)
    assert proof is not None
    refused(listening.received, b"garbage")
    assert refused(listening.received, proof).seen is Refusal.NONSENSE


@pytest.mark.parametrize("seen", list(Refusal))
def test_refusals_are_words_that_are_understood(seen: Refusal) -> None:
    assert refusal_in(seen.greeting) is seen
    assert len(seen.greeting) <= MAX_GREETING
    assert seen.next_step


def test_a_refusal_for_an_unknown_reason_is_one_all_the_same() -> None:
    assert refusal_in(b"kapelle/2 refused too-young") is Refusal.NONSENSE
    assert refusal_in(b"kapelle/2 refuse") is None

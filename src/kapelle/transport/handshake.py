"""How two processes show each other over a network that they know one secret, and never say it. No socket is touched.

    dialler   hello LINK LANE secret NONCE
    listener  challenge NONCE
    dialler   proof HMAC          of the secret, over who speaks, the link, the lane and both nonces
    listener  welcome HMAC        the same, as the listener: both know now

Whoever dials proves first: an address that anybody may dial must not give away anything that a secret could be guessed
from at leisure. Without a secret (TLS alone) it is ``hello LINK LANE open NONCE`` and ``welcome``. Either side may say
``refused`` with the reason instead.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from enum import Enum

MAX_GREETING = 256
"""Bytes of the longest greeting; the real ones have about 130."""
_VERSION = b"kapelle/2 "
_HELLO = re.compile(rb"kapelle/2 hello ([0-9a-f]{1,64}) (small|bulk) (secret|open) ([0-9a-f]{64})")
_CHALLENGE = re.compile(rb"kapelle/2 challenge ([0-9a-f]{64})")
_PROOF = re.compile(rb"kapelle/2 proof ([0-9a-f]{64})")
_WELCOME = re.compile(rb"kapelle/2 welcome(?: ([0-9a-f]{64}))?")
_REFUSED = re.compile(rb"kapelle/2 refused ([a-z-]{1,20})")
_PLAIN = b"kapelle/1 "
_NONCE = 32

SAME_FILE = "secret_file must name a file with the same secret on both sides"


class Refusal(Enum):
    """Why a link does not come to be: the word that is sent for it, and how it reads on the side that hears it."""

    MISMATCH = "mismatch", "the secret does not match that of the other side"
    DEMANDED = "secret-demanded", "the other side demands a secret, and this process has none"
    ABSENT = "secret-absent", "the other side has no secret, and this process demands one"
    NONSENSE = "nonsense", "the other side does not greet as a process of this system does"

    def __init__(self, word: str, text: str) -> None:
        self.word = word
        self.text = text

    @property
    def greeting(self) -> bytes:
        """What tells the other side."""
        return _VERSION + b"refused " + self.word.encode()

    @property
    def next_step(self) -> str:
        """What mends it."""
        return "see what listens at that address" if self is Refusal.NONSENSE else SAME_FILE


_OF_THE_OTHER = {Refusal.DEMANDED: Refusal.ABSENT, Refusal.ABSENT: Refusal.DEMANDED}


class RefusedError(Exception):
    """The handshake has failed. ``seen`` is how it looks from here; ``tell`` what the other side should hear, if any."""

    def __init__(self, seen: Refusal, *, tell: bool = True) -> None:
        super().__init__(seen.text)
        self.seen = seen
        self.tell = _OF_THE_OTHER.get(seen, seen).greeting if tell else b""


def refusal_in(head: bytes) -> Refusal | None:
    """The refusal that a frame is; None for all others, which cannot be taken for one: no message begins like it."""
    found = _REFUSED.fullmatch(head)
    return None if found is None else _by_word(found[1])


def demands_secret(head: bytes) -> bool:
    """Whether somebody greets who will only speak to one that knows the secret."""
    hello = _HELLO.fullmatch(head)
    return hello is not None and hello[3] == b"secret"


class Dialling:
    """The side that dials one lane of a link."""

    def __init__(self, secret: bytes | None, link: bytes, lane: bytes) -> None:
        self._secret = secret
        self._link, self._lane = link, lane
        self._nonce = os.urandom(_NONCE).hex().encode()
        self._theirs = b""
        self._over = False

    @property
    def hello(self) -> bytes:
        """The first greeting."""
        kind = b"open" if self._secret is None else b"secret"
        return _VERSION + b" ".join((b"hello", self._link, self._lane, kind, self._nonce))

    def received(self, head: bytes) -> bytes | None:
        """What is to be said next; None: the other side is one of ours, and may be spoken to.

        Raises:
            RefusedError: it is not, or says that we are not.
        """
        refusal = refusal_in(head)
        if self._over or refusal is not None:
            raise RefusedError(refusal or Refusal.NONSENSE, tell=False)
        welcome = _WELCOME.fullmatch(head)
        if welcome is not None:
            self._welcomed(welcome[1])
            return None
        return self._challenged(head)

    def _welcomed(self, proof: bytes | None) -> None:
        self._over = True
        if self._secret is None:
            if proof is not None:
                raise RefusedError(Refusal.NONSENSE)
            return
        if proof is None:
            raise RefusedError(Refusal.ABSENT)
        if not self._theirs:
            raise RefusedError(Refusal.NONSENSE)
        expected = _proof(self._secret, b"listener", self._link, self._lane, self._nonce, self._theirs)
        if not hmac.compare_digest(proof, expected):
            raise RefusedError(Refusal.MISMATCH)

    def _challenged(self, head: bytes) -> bytes:
        challenge = _CHALLENGE.fullmatch(head)
        # Our own nonce sent back is a mirror, not a partner.
        if challenge is None or self._theirs or challenge[1] == self._nonce:
            raise RefusedError(Refusal.NONSENSE)
        if self._secret is None:
            raise RefusedError(Refusal.DEMANDED)
        self._theirs = challenge[1]
        proof = _proof(self._secret, b"dialler", self._link, self._lane, self._nonce, self._theirs)
        return _VERSION + b"proof " + proof


class Listening:
    """The side that was dialled, for one lane. ``link`` and ``lane`` are known once the other side was greeted."""

    def __init__(self, secret: bytes | None) -> None:
        self._secret = secret
        self._nonce = os.urandom(_NONCE).hex().encode()
        self._theirs = b""
        self._over = False
        self.link = self.lane = b""

    def received(self, head: bytes) -> tuple[bytes, bool]:
        """What is to be said next, and whether the other side is one of ours, and may be heard from then on.

        Raises:
            RefusedError: it is not, or says that we are not.
        """
        refusal = refusal_in(head)
        if self._over or refusal is not None:
            raise RefusedError(refusal or Refusal.NONSENSE, tell=False)
        if not self.link:
            return self._greeted(head)
        return self._proven(head), True

    def _greeted(self, head: bytes) -> tuple[bytes, bool]:
        self._over = True  # unless a challenge follows
        hello = _HELLO.fullmatch(head)
        if hello is None:
            raise RefusedError(Refusal.ABSENT if self._secret and head.startswith(_PLAIN) else Refusal.NONSENSE)
        self.link, self.lane, kind, self._theirs = hello.groups()
        if (kind == b"secret") is not (self._secret is not None):
            raise RefusedError(Refusal.ABSENT if self._secret is not None else Refusal.DEMANDED)
        if self._secret is None:
            return _VERSION + b"welcome", True
        self._over = False
        return _VERSION + b"challenge " + self._nonce, False

    def _proven(self, head: bytes) -> bytes:
        self._over = True
        proof = _PROOF.fullmatch(head)
        if proof is None or self._secret is None:
            raise RefusedError(Refusal.NONSENSE)
        terms = self.link, self.lane, self._theirs, self._nonce
        if not hmac.compare_digest(proof[1], _proof(self._secret, b"dialler", *terms)):
            raise RefusedError(Refusal.MISMATCH)
        return _VERSION + b"welcome " + _proof(self._secret, b"listener", *terms)


def _by_word(word: bytes) -> Refusal:
    return next((one for one in Refusal if one.word.encode() == word), Refusal.NONSENSE)


def _proof(secret: bytes, speaker: bytes, link: bytes, lane: bytes, dialler: bytes, listener: bytes) -> bytes:
    # None of the parts can contain a space, so no two lists of parts make the same text.
    text = b" ".join((b"kapelle link", speaker, link, lane, dialler, listener))
    return hmac.new(secret, text, hashlib.sha256).hexdigest().encode()

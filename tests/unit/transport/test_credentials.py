"""Files become credentials, and what is of no use is named with the next step, but never shown."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from kapelle.config.settings import Settings
from kapelle.errors import ConfigError
from kapelle.transport.credentials import LONGEST, SHORTEST, Credentials, PeerTls, credentials_of
from tests.certificates import Authority, Certificate, Member, lock, make_authority

Spoil = Callable[[Member, Authority], Member]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


def with_secret(folder: Path, content: bytes) -> Settings:
    (folder / "secret").write_bytes(content)
    return Settings(secret_file=str(folder / "secret"))


def test_without_files_there_is_nothing_to_show() -> None:
    assert not credentials_of(Settings())
    assert not Credentials()


@pytest.mark.parametrize("content", [b"x" * SHORTEST, b"y" * LONGEST, b"  0123456789abcdef0123456789abcdef\r\n"])
def test_a_secret_is_read_without_the_white_space_around_it(tmp_path: Path, content: bytes) -> None:
    credentials = credentials_of(with_secret(tmp_path, content))
    assert credentials.secret == content.strip()
    assert credentials
    assert content.strip().decode() not in repr(credentials)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "a secret of 0 bytes can be guessed, 16 are the fewest"),
        (b"letmein" + b" " * 20, "a secret of 7 bytes can be guessed"),
        (b"x" * (LONGEST + 1), "more than 4096 bytes"),
        (b"x" * (5 * LONGEST), "more than 4096 bytes"),
    ],
)
def test_what_is_no_secret_is_refused_and_not_shown(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"secret_file = '.*secret': {words}.*; make one with `openssl rand"
    ) as found:
        credentials_of(with_secret(tmp_path, content))
    assert "letmein" not in str(found.value)


@pytest.mark.parametrize(("name", "words"), [("nowhere", "No such file"), ("", "Is a directory")])
def test_a_secret_that_cannot_be_read_is_named(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(ConfigError, match=rf"secret_file = '.*': {words}.* and give all processes of the system the"):
        credentials_of(Settings(secret_file=str(tmp_path / name)))


def test_tls_is_the_newest_and_of_both_sides(authority: Authority) -> None:
    tls = credentials_of(Settings(**cast(Any, authority.sign("one").settings))).tls
    assert isinstance(tls, PeerTls)
    for context in (tls.listens, tls.dials):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert [dict(one["subject"][0])["commonName"] for one in cast(Any, context.get_ca_certs())] == ["authority"]
    assert not tls.dials.check_hostname


def without_chain(good: Member, authority: Authority) -> Member:
    return Member(good.chain.with_name("nowhere.pem"), good.key, good.authority)


def without_authority(good: Member, authority: Authority) -> Member:
    return Member(good.chain, good.key, good.chain.parent)


def with_another_key(good: Member, authority: Authority) -> Member:
    return Member(good.chain, authority.key, good.authority)


def swapped(good: Member, authority: Authority) -> Member:
    return Member(good.key, good.chain, good.authority)


def locked(good: Member, authority: Authority) -> Member:
    return Member(good.chain, lock(Certificate(good.chain, good.key), good.chain.parent).key, good.authority)


def with_a_key_for_authority(good: Member, authority: Authority) -> Member:
    return Member(good.chain, good.key, good.key)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (without_chain, r"peer_certificate = '.*nowhere\.pem': No such file .* give the path of a PEM file with this"),
        (without_authority, r"peer_authority = '.*': Is a directory .* PEM file with the certificate of the authority"),
        (with_another_key, r"peer_key = '.*' is not the key of peer_certificate = '.*'; give the key that"),
        (swapped, r"peer_certificate = '.*' or peer_key = '.*' is not what it should be: .*; expected PEM files"),
        (locked, r"peer_key = '.*locked\.pem': the key is locked with a passphrase, .*; unlock it with `openssl pkey"),
        (with_a_key_for_authority, r"peer_authority = '.*' is not what it should be: .*; expected a PEM file with"),
    ],
)
def test_what_is_of_no_use_is_named_with_the_next_step(authority: Authority, spoil: Spoil, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        credentials_of(Settings(**cast(Any, spoil(authority.sign("spoilt"), authority).settings)))

"""What TLS is spoken with, and what is said when a certificate or its key is of no use."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from kapelle.config.settings import Settings
from kapelle.errors import ConfigError
from kapelle.gateway.entrance import tls_context
from tests.certificates import Certificate, lock, make_certificate

Spoil = Callable[[Certificate, Path], Certificate]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


def test_without_a_certificate_there_is_no_tls() -> None:
    assert tls_context(Settings()) is None


def test_nothing_older_than_tls_1_2_is_spoken(certificate: Certificate) -> None:
    context = tls_context(Settings(**cast(Any, certificate.settings)))
    assert context is not None
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def without_chain(good: Certificate, folder: Path) -> Certificate:
    return Certificate(folder / "nowhere.pem", good.key)


def without_key(good: Certificate, folder: Path) -> Certificate:
    return Certificate(good.chain, folder)


def with_another_key(good: Certificate, folder: Path) -> Certificate:
    return Certificate(good.chain, make_certificate(folder).key)


def swapped(good: Certificate, folder: Path) -> Certificate:
    return Certificate(good.key, good.chain)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            without_chain,
            r"tls_certificate = '.*nowhere\.pem': No such file .* give the path of a PEM file with the cert",
        ),
        (without_key, r"tls_key = '.*': Is a directory .* give the path of a PEM file with the certificate's private"),
        (with_another_key, r"tls_key = '.*' is not the key of tls_certificate = '.*'; give the key that"),
        (swapped, r"tls_certificate = '.*' or tls_key = '.*' is not what it should be: .*; expected PEM files"),
        (lock, r"tls_key = '.*locked\.pem': the key is locked with a passphrase, .*; unlock it with `openssl pkey"),
    ],
)
def test_what_is_of_no_use_is_named_with_the_next_step(
    certificate: Certificate, tmp_path: Path, spoil: Spoil, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        tls_context(Settings(**cast(Any, spoil(certificate, tmp_path).settings)))

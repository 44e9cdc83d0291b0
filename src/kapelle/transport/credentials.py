"""What a process shows the others of its system over a network: a secret, a certificate, or both."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path

from kapelle.config.settings import Settings
from kapelle.errors import ConfigError
from kapelle.transport.pem import check_readable, load_chain

SHORTEST, LONGEST = 16, 4096
"""Bytes of a secret, without white space around it."""


@dataclass(frozen=True, slots=True)
class PeerTls:
    """Mutual TLS: with ``listens`` for those who dial here, with ``dials`` for those who are dialled."""

    listens: ssl.SSLContext
    dials: ssl.SSLContext


@dataclass(frozen=True, slots=True)
class Credentials:
    """A secret that both sides must know, and TLS with certificates of one authority; either may be None."""

    secret: bytes | None = field(default=None, repr=False)
    tls: PeerTls | None = None

    def __bool__(self) -> bool:
        return self.secret is not None or self.tls is not None


def credentials_of(settings: Settings) -> Credentials:
    """Read the files that the settings name; those of no file are empty.

    Raises:
        ConfigError: a file cannot be read, or is not what it should be.
    """
    secret = _read_secret(settings.secret_file) if settings.secret_file else None
    return Credentials(secret, _peer_tls(settings) if settings.peer_certificate else None)


def _read_secret(path: str) -> bytes:
    setting = f"secret_file = {path!r}"
    make = f"make one with `openssl rand -hex 32 > {path}` and give all processes of the system the same"
    try:
        with Path(path).open("rb") as file:
            # White space around it is no part of it, and some has room beside the longest secret.
            secret = file.read(2 * LONGEST).strip()
    except OSError as error:
        raise ConfigError(f"{setting}: {error.strerror} (from {Path.cwd()}); {make}") from None
    if len(secret) > LONGEST:
        raise ConfigError(f"{setting}: more than {LONGEST} bytes, which no secret needs; {make}")
    if len(secret) < SHORTEST:
        raise ConfigError(
            f"{setting}: a secret of {len(secret)} bytes can be guessed, {SHORTEST} are the fewest; {make}"
        )
    return secret


def _peer_tls(settings: Settings) -> PeerTls:
    listens, dials = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Replicas come and go by address. The authority vouches for nothing but the processes of this system, so who has
    # any certificate of it is one of them.
    dials.check_hostname = False
    # Nobody resumes a session here: a ticket would be written to every link for nothing.
    listens.num_tickets = 0
    check_readable("peer_certificate", settings.peer_certificate, "this process's certificate chain")
    check_readable("peer_key", settings.peer_key, "that certificate's private key")
    for context in (listens, dials):
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        load_chain(
            context, ("peer_certificate", settings.peer_certificate), ("peer_key", settings.peer_key), "process's"
        )
        _load_authority(context, settings.peer_authority)
    return PeerTls(listens, dials)


def _load_authority(context: ssl.SSLContext, path: str) -> None:
    check_readable("peer_authority", path, "the certificate of the authority that signed those of all processes")
    try:
        context.load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        raise ConfigError(
            f"peer_authority = {path!r} is not what it should be: {error}; expected a PEM file with `BEGIN CERTIFICATE`"
        ) from None

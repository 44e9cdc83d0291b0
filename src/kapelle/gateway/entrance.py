"""The entrance: clients are let in here, over TLS where a certificate is set."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

from kapelle.config.settings import Settings
from kapelle.errors import ConfigError


async def let_in(
    door: socket.socket, connection: Callable[[], asyncio.BaseProtocol], settings: Settings, tls: ssl.SSLContext | None
) -> asyncio.Server:
    """Accept clients at ``door``; with ``tls``, each is a ``connection`` once its handshake is over."""
    return await asyncio.get_running_loop().create_server(
        connection,
        sock=door,
        ssl=tls,
        ssl_handshake_timeout=settings.header_timeout if tls else None,
        # It runs while the last answer is still being read, too.
        ssl_shutdown_timeout=settings.body_timeout if tls else None,
    )


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """What TLS is spoken with; None where no certificate is set.

    Raises:
        ConfigError: the certificate or its key cannot be used.
    """
    if not settings.tls_certificate:
        return None
    certificate, key = f"tls_certificate = {settings.tls_certificate!r}", f"tls_key = {settings.tls_key!r}"
    _check_readable(certificate, settings.tls_certificate, "the certificate chain")
    _check_readable(key, settings.tls_key, "the certificate's private key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])

    def refuse_passphrase() -> str:
        # Without an answer of ours OpenSSL would ask the terminal, and wait.
        raise ConfigError(
            f"{key}: the key is locked with a passphrase, which no process could be asked for; "
            "unlock it with `openssl pkey -in LOCKED -out KEY`"
        )

    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key, refuse_passphrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(
                f"{key} is not the key of {certificate}; give the key that the certificate was made for, "
                "and put the server's own certificate first in the chain"
            ) from None
        raise ConfigError(
            f"{certificate} or {key} is not what it should be: {error}; expected PEM files, the first "
            "with `BEGIN CERTIFICATE`, the second with `BEGIN PRIVATE KEY`"
        ) from None
    return context


def _check_readable(setting: str, path: str, what: str) -> None:
    try:
        Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{setting}: {error.strerror} (from {Path.cwd()}); give the path of a PEM file with {what}"
        ) from None

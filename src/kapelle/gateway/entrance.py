"""The entrance: clients are let in here, over TLS where a certificate is set."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

from kapelle.config.settings import Settings
from kapelle.transport.pem import check_readable, load_chain


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
    check_readable("tls_certificate", settings.tls_certificate, "the certificate chain")
    check_readable("tls_key", settings.tls_key, "the certificate's private key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    load_chain(context, ("tls_certificate", settings.tls_certificate), ("tls_key", settings.tls_key), "server's")
    return context

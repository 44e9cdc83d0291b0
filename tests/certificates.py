"""Certificates that sign themselves, made when a test asks for them."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Certificate:
    """The two PEM files of a server at 127.0.0.1."""

    chain: Path
    key: Path

    @property
    def settings(self) -> dict[str, Any]:
        """What a system must be told to use it."""
        return {"tls_certificate": str(self.chain), "tls_key": str(self.key)}

    def client(self) -> ssl.SSLContext:
        """What a client needs to trust it."""
        return ssl.create_default_context(cafile=str(self.chain))


def make_certificate(folder: Path) -> Certificate:
    """A fresh one, its files in ``folder``."""
    made = Certificate(folder / "chain.pem", folder / "key.pem")
    _openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-out", made.chain, "-keyout", made.key,
    )  # fmt: skip
    return made


def lock(certificate: Certificate, folder: Path) -> Certificate:
    """The same one, its key behind a passphrase."""
    locked = folder / "locked.pem"
    _openssl("pkey", "-in", certificate.key, "-aes128", "-passout", "pass:secret", "-out", locked)
    return Certificate(certificate.chain, locked)


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)

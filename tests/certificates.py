"""Certificates that sign themselves, and authorities that sign those of processes, made when a test asks for them."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


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
        "req", "-x509", "-days", "1", *_NEW_KEY,
        "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-out", made.chain, "-keyout", made.key,
    )  # fmt: skip
    return made


@dataclass(frozen=True)
class Member:
    """The three PEM files of a process that others know by its authority."""

    chain: Path
    key: Path
    authority: Path

    @property
    def settings(self) -> dict[str, Any]:
        """What a process must be told to use it."""
        return {"peer_certificate": str(self.chain), "peer_key": str(self.key), "peer_authority": str(self.authority)}


@dataclass(frozen=True)
class Authority:
    """Who signs the certificates of processes."""

    chain: Path
    key: Path
    folder: Path

    def sign(self, name: str) -> Member:
        """A fresh certificate for a process of this name."""
        asked, made = (
            self.folder / f"{name}.csr",
            Member(self.folder / f"{name}.pem", self.folder / f"{name}-key.pem", self.chain),
        )
        _openssl("req", *_NEW_KEY, "-subj", f"/CN={name}", "-out", asked, "-keyout", made.key)
        _openssl(
            "x509", "-req", "-days", "1", "-in", asked, "-CA", self.chain, "-CAkey", self.key, "-CAcreateserial",
            "-out", made.chain,
        )  # fmt: skip
        return made


def make_authority(folder: Path, name: str = "authority") -> Authority:
    """A fresh one, its files in ``folder``."""
    made = Authority(folder / f"{name}.pem", folder / f"{name}-key.pem", folder)
    _openssl("req", "-x509", "-days", "1", *_NEW_KEY, "-subj", f"/CN={name}", "-out", made.chain, "-keyout", made.key)
    return made


def lock(certificate: Certificate, folder: Path) -> Certificate:
    """The same one, its key behind a passphrase."""
    locked = folder / "locked.pem"
    _openssl("pkey", "-in", certificate.key, "-aes128", "-passout", "pass:secret", "-out", locked)
    return Certificate(certificate.chain, locked)


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)

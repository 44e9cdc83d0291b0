"""Certificates and keys from PEM files that settings name: what is wrong with one is told by its setting."""

from __future__ import annotations

import ssl
from pathlib import Path

from kapelle.errors import ConfigError


def load_chain(context: ssl.SSLContext, certificate: tuple[str, str], key: tuple[str, str], owner: str) -> None:
    """Have ``context`` show the chain in a file, with its key; both are named by their setting and its value.

    Raises:
        ConfigError: one of them cannot be read, is none, is locked, or they do not belong together; ``owner`` says whose
            certificate stands first in the chain.
    """
    chain_setting, key_setting = (f"{name} = {path!r}" for name, path in (certificate, key))

    def refuse_passphrase() -> str:
        # Without an answer of ours OpenSSL would ask the terminal, and wait.
        raise ConfigError(
            f"{key_setting}: the key is locked with a passphrase, which no process could be asked for; "
            "unlock it with `openssl pkey -in LOCKED -out KEY`"
        )

    try:
        context.load_cert_chain(certificate[1], key[1], refuse_passphrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(
                f"{key_setting} is not the key of {chain_setting}; give the key that the certificate was made for, "
                f"and put the {owner} own certificate first in the chain"
            ) from None
        raise ConfigError(
            f"{chain_setting} or {key_setting} is not what it should be: {error}; expected PEM files, the first "
            "with `BEGIN CERTIFICATE`, the second with `BEGIN PRIVATE KEY`"
        ) from None


def check_readable(setting: str, path: str, what: str) -> None:
    """See that a file can be read that ``setting`` names, and that is to hold ``what``.

    Raises:
        ConfigError: it cannot.
    """
    try:
        Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{setting} = {path!r}: {error.strerror} (from {Path.cwd()}); give the path of a PEM file with {what}"
        ) from None

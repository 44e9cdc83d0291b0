"""Certificates of a deployment: people's own files, checked, and copied to where its secrets are.

They are copied, not mounted from where they lie: kustomize reads nothing above its folder, and a key that only its owner
may read could not be read in a container, whose user is another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from kapelle.config.settings import Settings
from kapelle.errors import ConfigError, DeployError
from kapelle.transport.credentials import credentials_of

SETTINGS = {"peer-certificate": "peer_certificate", "peer-key": "peer_key", "peer-authority": "peer_authority"}
"""The settings that name such files, by the names of the secrets that are made of them."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """The files by the names of their secrets; none, where processes are to speak without TLS.

    ``digest`` is one of all of them, for engines that do not see when a file has changed.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    digest: str = ""


def certificates_of(settings: Settings) -> Certificates:
    """The files that a project's settings name.

    Raises:
        DeployError: one of them cannot be read, or is not what it should be; the message names the setting.
    """
    if not settings.peer_certificate:
        return Certificates()
    try:
        credentials_of(msgspec.structs.replace(settings, secret_file=""))
    except ConfigError as error:
        raise DeployError(error.detail) from None
    files = {name: Path(getattr(settings, setting)) for name, setting in SETTINGS.items()}
    content = b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files.values())
    return Certificates(files, hashlib.sha256(content).hexdigest()[:12])

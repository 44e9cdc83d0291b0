"""Secrets of a deployment: made once, never overwritten, kept out of git, removed only with the volumes."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from kapelle.deploy.certificates import SETTINGS
from kapelle.errors import DeployError

FOLDER = "secrets"
PEERS = "kapelle"
"""What the processes of a system show each other."""
GRAFANA = "grafana"
"""The password of Grafana's user admin."""
S3 = "s3.env"
"""Who may use a store in S3, as variables; only people can fill it."""

_S3_TEXT = """\
# Who may read and write the store. Leave a line out where the machine's own role says it.
# AWS_ACCESS_KEY_ID=
# AWS_SECRET_ACCESS_KEY=
# AWS_REGION=
# AWS_ENDPOINT_URL=
"""


def make_secrets(folder: Path, names: Iterable[str], given: Mapping[str, Path] | None = None) -> list[Path]:
    """Make those that are missing below ``folder``, and copy those that are ``given`` as files; returns what was written.

    Raises:
        DeployError: they cannot be written.
    """
    place = folder / FOLDER
    try:
        place.mkdir(parents=True, exist_ok=True)
        # The folder is closed to other users of this machine. The files are not: containers run as a user of their own,
        # and a file that an engine mounts keeps its owner and mode.
        place.chmod(0o700)
        (place / ".gitignore").write_text("*\n", encoding="utf-8")
        files = given or {}
        return [
            place / name
            for name in names
            if (_copied(files[name], place / name) if name in files else _made(place / name))
        ]
    except OSError as error:
        raise DeployError(f"{error.filename or place} cannot be written: {error.strerror}") from None


def _made(path: Path) -> bool:
    text = _S3_TEXT if path.name == S3 else secrets.token_urlsafe(32)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    path.chmod(0o644)
    return True


def _copied(source: Path, path: Path) -> bool:
    content = source.read_bytes()
    if path.is_file() and path.read_bytes() == content:
        return False
    # A container that runs keeps the file that it has; one that starts sees all of the new one.
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    part.chmod(0o644)
    part.replace(path)
    return True


def check_secrets(folder: Path, names: Iterable[str]) -> None:
    """Refuse to start with a secret that is missing or empty.

    Raises:
        DeployError: one is; the message names it.
    """
    for name in names:
        path = folder / FOLDER / name
        try:
            secret = path.read_bytes()
        except OSError as error:
            raise DeployError(
                f"the secret {path} cannot be read: {error.strerror}; `kapelle deploy` makes one where there is none"
            ) from None
        if not secret.strip():
            raise DeployError(f"the secret {path} is empty; write one to it, or remove the file to have one made")


def digest_of(folder: Path, name: str) -> str:
    """A short digest of a secret, for engines whose secrets cannot change but by their name."""
    return hashlib.sha256((folder / FOLDER / name).read_bytes()).hexdigest()[:8]


def remove_secrets(folder: Path) -> list[Path]:
    """Remove what was made here; what people have filled stays. Returns what was removed."""
    found = [path for name in (PEERS, GRAFANA, *SETTINGS) if (path := folder / FOLDER / name).is_file()]
    for path in found:
        path.unlink()
    return found

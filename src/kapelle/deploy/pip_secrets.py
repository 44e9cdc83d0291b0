"""What lets pip reach packages on this machine, lent to a build: certificates and configuration. No image keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_CERTIFICATES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


def pip_secrets(environment: Mapping[str, str], given: list[str]) -> list[str]:
    """Options of `docker build`; one that is in ``given`` already is not lent again."""
    found = {
        "ca": _first([environment.get(name, "") for name in _CERTIFICATES]),
        "pip": _first([environment.get("PIP_CONFIG_FILE", ""), *_places(environment)]),
    }
    said = " ".join(given)
    return [f"--secret=id={name},src={path}" for name, path in found.items() if path and f"id={name}," not in said]


def _places(environment: Mapping[str, str]) -> list[str]:
    """Where pip looks for its configuration: a person's own file, then the machine's."""
    home = environment.get("HOME", "")
    own = environment.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else "")
    return [f"{own}/pip/pip.conf" if own else "", f"{home}/.pip/pip.conf" if home else "", "/etc/pip.conf"]


def _first(paths: list[str]) -> str:
    return next((path for path in paths if path and Path(path).is_file()), "")

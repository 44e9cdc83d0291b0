"""What ``@service`` may say of the containers that it runs in, where an engine runs them: what they get, and where."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import inf

from kapelle.errors import DeclarationError

_FILE = re.compile(r"requirements[A-Za-z0-9._-]*\.txt")
# What Kubernetes takes as a label; Swarm takes more.
_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")


def check_container(
    requirements: str | None, cpus: float | None, gpus: int, placement: Mapping[str, str], *, inline: bool
) -> None:
    """Refuse what no engine could give.

    Raises:
        DeclarationError: a value has the wrong form, or an inline service, which has no container, is to have one.
    """
    if inline and (requirements or cpus or gpus or placement):
        raise DeclarationError(
            "an inline service has no container of its own: leave out requirements, cpus, gpus and placement"
        )
    if requirements is not None and not _FILE.fullmatch(requirements):
        raise DeclarationError(
            f"requirements={requirements!r}: expected the name of a file beside the app's, as in 'requirements-encoder.txt'"
        )
    if cpus is not None and not 0 < cpus < inf:
        raise DeclarationError(f"cpus={cpus:g}: expected a number of cores above 0, such as 0.5")
    if gpus < 0:
        raise DeclarationError(f"gpus={gpus}: expected at least 0")
    for key, value in placement.items():
        if not _KEY.fullmatch(key) or not _VALUE.fullmatch(value):
            raise DeclarationError(
                f"placement={{{key!r}: {value!r}}}: expected a label of machines and its value, as in {{'disk': 'ssd'}}: "
                "letters, digits, '-', '_' and '.', 63 at most"
            )

"""What a controller has to know of an app, as data: ``python -m kapelle.declare.outline TARGET`` prints it.

A controller runs no code of a release itself. It may have imported another version of the same modules already, and what
they do when they are imported is none of its business.
"""

from __future__ import annotations

import subprocess
import sys

import msgspec

from kapelle.declare.apps import AppSpec
from kapelle.declare.loading import Target, find_here
from kapelle.declare.services import ServiceSpec
from kapelle.errors import DeclarationError, KapelleError, in_a_line

_PATIENCE = 120.0
"""Seconds for the modules of an app to be imported."""
_MARK = b"kapelle-outline: "


class ServiceOutline(msgspec.Struct, frozen=True):
    """What ``ServiceSpec`` says besides its methods."""

    name: str
    replicas: int
    artifact: str | None
    sharded: bool
    inline: bool
    memory_limit: int | None
    in_turn: bool


class Outline(msgspec.Struct, frozen=True):
    """What ``AppSpec`` says besides its endpoints."""

    name: str
    artifact: str | None
    services: dict[str, ServiceOutline]


App = AppSpec | Outline
Service = ServiceSpec | ServiceOutline


def outline(app: AppSpec) -> Outline:
    """The outline of an app that is imported here."""
    services = {
        name: ServiceOutline(
            one.name, one.replicas, one.artifact, one.sharded, one.inline, one.memory_limit, one.in_turn
        )
        for name, one in app.services.items()
    }
    return Outline(app.name, app.artifact, services)


def outline_of(target: str) -> Outline:
    """The outline of an app that is imported in a process of its own; blocks.

    Raises:
        DeclarationError: it cannot be imported, or takes too long; the message has the reason.
    """
    command = [sys.executable, "-P", "-m", "kapelle.declare.outline", target]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_PATIENCE, check=False)  # noqa: S603 - ourselves
    except subprocess.TimeoutExpired:
        raise DeclarationError(f"{target} was not imported within {_PATIENCE:g} s") from None
    lines = [line for line in done.stdout.splitlines() if line.startswith(_MARK)]
    if done.returncode or not lines:
        said = done.stderr.decode(errors="replace").strip()
        reason = (said or f"the process ended with {done.returncode}").splitlines()[-1]
        raise DeclarationError(f"{target} cannot be imported: {reason}")
    return msgspec.json.decode(lines[-1].removeprefix(_MARK), type=Outline)


def main(arguments: list[str]) -> int:
    """The exit status."""
    find_here()
    try:
        found = outline(Target(arguments[0]).load())
    except KapelleError as error:
        sys.stderr.write(error.detail + "\n")
        return 1
    except Exception as error:  # noqa: BLE001 - user code is imported here, and may raise anything
        sys.stderr.write(in_a_line(error) + "\n")
        return 1
    # Modules may print, in any encoding, and put something else in the place of sys.stdout; the line that is meant is marked.
    with open(1, "wb", closefd=False) as out:
        out.write(b"\n" + _MARK + msgspec.json.encode(found) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

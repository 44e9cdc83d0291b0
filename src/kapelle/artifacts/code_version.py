"""The version of the code that lies on this machine: that which a release made of it would have."""

from __future__ import annotations

from kapelle.artifacts.manifest import code_version, measured
from kapelle.artifacts.releases import artifact_of
from kapelle.declare.code import Code


def version_of(code: Code) -> str:
    """12 hexadecimal digits, the same for the same files."""
    files = [measured(path, [file.read_bytes()], _ignore) for path, file in sorted(code.files.items())]
    return code_version(code.entry, artifact_of(files))


def _ignore(_: int) -> None: ...

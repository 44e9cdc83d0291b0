"""A wheel of the Kapelle that runs, so that images get exactly that, also where it was never published.

It is made of the installed package itself; the same files give the same bytes, on every machine.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import zipfile
from collections.abc import Set as AbstractSet
from importlib.metadata import Distribution, distribution
from pathlib import Path

import kapelle
from kapelle.errors import DeployError

_NAME = "kapelle"
_OLDEST = (1980, 1, 1, 0, 0, 0)
"""The time of every file in it: the first that a zip can say."""
_MODE = 0o100644 << 16
_EXTRA = re.compile(r"""extra\s*==\s*["']([\w.-]+)["']""")
# What stays of a marker once the part about the extra is gone begins or ends with the word that joined the two.
_JOINED = re.compile(r"^\s*and\s+|\s+and\s*$|^\s*\(\s*\)\s*$")


def wheel() -> tuple[str, bytes]:
    """The file's name, and its bytes.

    Raises:
        DeployError: Kapelle was imported without being installed.
    """
    found = _distribution()
    about = f"{_NAME}-{found.version}.dist-info"
    files = {f"{_NAME}/{name}": path.read_bytes() for name, path in _package().items()}
    files[f"{about}/METADATA"] = (found.read_text("METADATA") or "").encode()
    files[f"{about}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: kapelle\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{about}/entry_points.txt"] = (found.read_text("entry_points.txt") or "").encode()
    record = f"{about}/RECORD"
    lines = [f"{name},sha256={_digest(content)},{len(content)}" for name, content in sorted(files.items())]
    files[record] = "".join(f"{line}\n" for line in [*lines, f"{record},,"]).encode()
    packed = io.BytesIO()
    # Stored, not deflated: the bytes of a deflated file depend on the zlib that wrote it.
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _OLDEST)
            entry.external_attr = _MODE
            entry.create_system = 3  # Unix, wherever it was written
            archive.writestr(entry, content)
    return f"{_NAME}-{found.version}-py3-none-any.whl", packed.getvalue()


def needs(extras: AbstractSet[str]) -> list[str]:
    """What Kapelle with these extras needs installed, as lines of a requirements file.

    Raises:
        DeployError: Kapelle was imported without being installed, or was installed when it had not these extras yet.
    """
    found = _distribution()
    if missing := sorted(extras - {*found.metadata.get_all("Provides-Extra", [])}):
        raise DeployError(
            f"this Kapelle was installed without the extra {missing[0]!r} in its metadata, older than its sources; "
            "install it again, with `pip install -e .` for example"
        )
    wanted = [_without_extra(line, extras) for line in found.requires or []]
    return sorted({line for line in wanted if line}, key=str.lower)


def _without_extra(line: str, extras: AbstractSet[str]) -> str:
    """A requirement whose marker no longer asks for an extra; empty when it asks for one that is not wanted."""
    requirement, _, marker = line.partition(";")
    named = _EXTRA.findall(marker)
    if not set(named) <= extras:
        return ""
    marker = _JOINED.sub("", _EXTRA.sub("", marker)).strip()
    return f"{requirement.strip()}; {marker}" if marker else requirement.strip()


def _distribution() -> Distribution:
    try:
        return distribution(_NAME)
    except ModuleNotFoundError:
        raise DeployError(
            "this Kapelle is imported from its sources and is not installed, so nothing says what it needs; "
            "install it, with `pip install -e .` for example, and try again"
        ) from None


def _package() -> dict[str, Path]:
    """The files of the package, by their path in it; no byte code, nothing hidden."""
    root = Path(kapelle.__file__).parent
    found = {path.relative_to(root): path for path in root.rglob("*") if path.is_file()}
    return {
        path.as_posix(): whole
        for path, whole in found.items()
        if "__pycache__" not in path.parts and not any(part.startswith(".") for part in path.parts)
    }


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()

"""Which Python packages each image of an app has: the requirements*.txt beside its file, and who installs which."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kapelle.declare.services import ServiceSpec
from kapelle.errors import DeployError

PLAIN = "requirements.txt"
ALONE = "-nodeps.txt"
"""How a file's name ends whose packages are installed without what they declare to need."""
_OWN = ("build", "cuda", "tests")
"""Files named requirements-<this>*.txt are for one purpose only."""
_INCLUDE = re.compile(r"^\s*(?:-r|--requirement|-c|--constraint)[\s=]+(\S+)", re.MULTILINE)
_KAPELLE = re.compile(r"^[ \t]*kapelle[ \t]*(?:\[([\w, -]*)\])?[ \t]*(?:[<>=!~;@#].*)?$", re.MULTILINE)
_RUNTIME = re.compile(r"^(\s*)onnxruntime(?=\s*(?:[<>=!~;#]|$))", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Requirements:
    """A set of requirement files that is installed together; ``name`` is the part of a service's own file after the dash."""

    name: str
    files: tuple[str, ...]


class AppRequirements:
    """The requirement files in an app's folder, by who needs them.

    Raises:
        DeployError: a service names a file that is not there.
    """

    def __init__(self, folder: Path, services: Iterable[ServiceSpec]) -> None:
        self._folder = folder
        self._named = {one.name: one.requirements for one in services if one.requirements is not None}
        for service, name in self._named.items():
            if not (folder / name).is_file():
                raise DeployError(
                    f"{service} is declared with requirements={name!r}, and {folder / name} does not exist; "
                    "write it, or leave the option out for what the whole app needs"
                )
        self._present = sorted(path.name for path in folder.glob("requirements*.txt"))

    @property
    def app(self) -> Requirements:
        """What the app needs: all files but those of one service or one purpose alone."""
        named = {*self._named.values()} - {PLAIN}
        return Requirements("", tuple(one for one in self._present if one not in named and not _purpose(one)))

    def of(self, service: str) -> Requirements:
        """What a service needs: its own file where it names one, else what the app needs."""
        name = self._named.get(service)
        if name is None or (name,) == self.app.files:
            return self.app
        return Requirements(name.removeprefix("requirements").removesuffix(".txt").strip("-_.") or "own", (name,))

    def only_for(self, purpose: str) -> tuple[str, ...]:
        """The files of one purpose: what only the builder ("build"), the tests ("tests") or a GPU ("cuda") needs."""
        return tuple(one for one in self._present if _purpose(one) == purpose)

    def read(self, names: Iterable[str]) -> dict[str, str]:
        """The text of these files and of all that they include, by name.

        Raises:
            DeployError: a file includes one that is not beside it, or is not UTF-8.
        """
        found: dict[str, str] = {}
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name in found:
                continue
            path = self._folder / name
            if "/" in name or not path.is_file():
                raise DeployError(
                    f"{self._folder}: a requirements file includes {name!r}; expected a file in the same folder: "
                    "put it there, or write its lines where it is included"
                )
            try:
                found[name] = path.read_text(encoding="utf-8-sig")
            except UnicodeDecodeError:
                # A shell of Windows writes what `pip freeze` says in UTF-16.
                raise DeployError(f"{path}: expected text in UTF-8; save it as that") from None
            waiting += _INCLUDE.findall(found[name])
        return dict(sorted(found.items()))


def without_kapelle(text: str) -> tuple[str, set[str]]:
    """The same requirements without Kapelle itself, which images get from here; and the extras that were asked of it."""
    extras = {one.strip() for found in _KAPELLE.finditer(text) for one in (found[1] or "").split(",")} - {""}
    return _KAPELLE.sub("# Kapelle is installed from a wheel, after these.", text), extras


def with_cuda(text: str) -> str:
    """The same requirements with ONNX Runtime's build for CUDA, and the libraries of NVIDIA that it loads."""
    return _RUNTIME.sub(r"\1onnxruntime-gpu[cuda,cudnn]", text)


def _purpose(name: str) -> str:
    found = re.fullmatch(rf"requirements-({'|'.join(_OWN)})[A-Za-z0-9._-]*\.txt", name)
    return found[1] if found else ""

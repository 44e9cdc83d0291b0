"""The packages of an app's images as files of the build context: its requirement files, Kapelle's, and Kapelle itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from kapelle.declare.services import ServiceSpec
from kapelle.deploy.context import Content
from kapelle.deploy.requirements import AppRequirements, Requirements, with_cuda, without_kapelle
from kapelle.deploy.wheel import needs, wheel

_KAPELLE = "requirements/kapelle.txt"
_TESTS = "requirements/pytest.txt"
_INIT = "dumb-init>=1.2.5"
"""The first process of a container. From PyPI, where it is compiled for both architectures, so that every engine runs the
same: Kubernetes brings none, and those that do bring others."""
_GRPC = re.compile(r"^\s*grpcio\b", re.MULTILINE)
CUDA = "cuda"


@dataclass(frozen=True, slots=True)
class PackageSet:
    """What is installed together: ``files`` of the context that pip is given, and all that it then reads."""

    name: str
    named: tuple[str, ...]
    files: tuple[str, ...]
    read: tuple[str, ...]
    cuda: bool = False


class Packages:
    """The sets of packages of an app: that of the whole app, those of services that differ, and what is for one purpose.

    Raises:
        DeployError: a requirements file is missing.
    """

    def __init__(
        self, folder: Path, services: Mapping[str, ServiceSpec], variant: str, *, s3: bool, tests: bool
    ) -> None:
        self._requirements = AppRequirements(folder, services.values())
        served = {name: one for name, one in services.items() if not one.inline}
        with_gpu = {name for name, one in served.items() if one.gpus} or {*served}
        self._on_gpu = with_gpu if variant == CUDA else set[str]()
        self.files: dict[str, Content] = {}
        self._sets: dict[str, PackageSet] = {}
        name, content = wheel()
        self.wheel = f"wheels/{name}"
        self.files[self.wheel] = content
        extras = self._extras(served) | ({"s3"} if s3 else set())
        self.grpc = "grpc" in extras
        """Whether the app is asked over gRPC, too."""
        self._add_list(_KAPELLE, [*needs(extras), _INIT])
        self._add(self._requirements.app, cuda=False)
        self._by_service = {one: self._add(self._requirements.of(one), cuda=one in self._on_gpu).name for one in served}
        self.build = self._extra("build")
        """What only the builder needs; without files, where that is nothing."""
        self.tests = self._extra("tests", (_TESTS,) if tests else ())
        """What only the app's own tests need, pytest and the client included."""
        if tests:
            self._add_list(_TESTS, ["pytest", *sorted({*needs({"client"})} - {*needs(set())})])

    @property
    def sets(self) -> list[PackageSet]:
        """Each set that serves once; that of the whole app first, which has no name."""
        return list(self._sets.values())

    def of(self, service: str) -> PackageSet:
        """The set of a service."""
        return self._sets[self._by_service[service]]

    def _extras(self, services: Iterable[str]) -> set[str]:
        """The extras of Kapelle that the app asks for, or uses: who lists grpcio wants to be asked over gRPC."""
        files = {name for one in services for name in self._requirements.of(one).files} | {
            *self._requirements.app.files
        }
        texts = self._requirements.read(files).values()
        asked = set[str]().union(*(without_kapelle(text)[1] for text in texts))
        return asked | {"grpc"} if any(_GRPC.search(text) for text in texts) else asked

    def _extra(self, purpose: str, own: tuple[str, ...] = ()) -> PackageSet:
        named = self._requirements.only_for(purpose)
        files, read = self._take(named, "requirements", cuda=False)
        return PackageSet(purpose, named, (*own, *files), (*own, *read))

    def _add(self, wanted: Requirements, *, cuda: bool) -> PackageSet:
        name = "-".join(part for part in (wanted.name, CUDA if cuda else "") if part)
        if name not in self._sets:
            named = wanted.files + (self._requirements.only_for(CUDA) if cuda else ())
            folder = "requirements/cuda" if cuda else "requirements"
            files, read = self._take(named, folder, cuda=cuda)
            self._sets[name] = PackageSet(name, named, (_KAPELLE, *files), (_KAPELLE, *read), cuda)
        return self._sets[name]

    def _take(self, named: tuple[str, ...], folder: str, *, cuda: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Put these files and all that they include into the context."""
        texts = self._requirements.read(named)
        for name, text in texts.items():
            plain, _ = without_kapelle(text)
            self.files[f"{folder}/{name}"] = (with_cuda(plain) if cuda else plain).encode()
        return tuple(f"{folder}/{name}" for name in named), tuple(f"{folder}/{name}" for name in texts)

    def _add_list(self, name: str, lines: list[str]) -> None:
        self.files[name] = "".join(f"{line}\n" for line in lines).encode()

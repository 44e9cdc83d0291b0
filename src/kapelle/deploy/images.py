"""The images of an app: which there are, what is in each, and their names; written as a build context with a Dockerfile."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kapelle.artifacts.releases import code_version
from kapelle.declare.apps import AppSpec
from kapelle.declare.loading import Target
from kapelle.deploy import dockerfile
from kapelle.deploy.app_files import TESTS, AppFiles, files_of
from kapelle.deploy.context import Content, write_context
from kapelle.deploy.names import image_name, tag_of
from kapelle.deploy.packages import Packages, PackageSet
from kapelle.deploy.settings_file import settings_file
from kapelle.deploy.stages import Stage, Stages
from kapelle.version import VERSION

Variant = Literal["cpu", "cuda"]

FOLDER = Path(".kapelle") / "images"
DOCKERFILE = "Dockerfile"
SERVICES = "services-"
"""What the stages begin with that are of some services only; the name of their packages follows."""
_CODE, _RELEASE, _TESTS = "app/code/", "app/release/", "app/tests/"
_CUDA = {
    "NVIDIA_VISIBLE_DEVICES": "all",
    "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
}
_CUDA_LIBRARIES = ("cu13", "cudnn", "cublas", "cuda_nvrtc", "cuda_runtime", "cufft", "curand", "nvjitlink")


@dataclass(frozen=True, slots=True)
class Image:
    """One image: its name, whose tag is a digest of all that goes in; the Dockerfile below the context, and its stage."""

    reference: str
    dockerfile: str
    target: str


@dataclass(frozen=True, slots=True)
class Images:
    """The images of an app.

    ``services`` has one by the name of each service's class; ``gateway`` is the controller's, too. ``door`` has the same
    runtime without the app's code, so that a change of code does not change it. ``release`` has what the app's builder
    needs as well. ``tests`` has pytest and the app's own tests; there is none where the app has none. ``place`` is how the
    app is named inside of them, as TARGET of commands.
    """

    context: Path
    services: dict[str, Image]
    gateway: Image
    door: Image
    release: Image
    tests: Image | None
    place: str
    grpc: bool = False
    """Whether gateways take gRPC, too."""

    @property
    def roles(self) -> dict[Image, list[str]]:
        """Each image once, with what runs in it, in the order in which they are built."""
        found: dict[Image, list[str]] = {self.door: ["door"]}
        found.setdefault(self.gateway, []).extend(["gateway", "controller"])
        for name, image in self.services.items():
            found.setdefault(image, []).append(name)
        found.setdefault(self.release, []).append("release")
        if self.tests is not None:
            found.setdefault(self.tests, []).append(TESTS)
        return found


def plan_images(target: Target, app: AppSpec, *, variant: Variant = "cpu", name: str = "", s3: bool = False) -> Images:
    """Write the build context of an app's images to ``.kapelle/images/<app>``, and say which they are.

    With ``variant="cuda"`` the services that have ``gpus`` (all of them, where none says so) get images with CUDA.
    ``name`` is what the images are called, a registry's name before it included (the app's, in kebab-case); ``s3`` adds
    what a store in S3 needs. Writing again changes no file that is as it should be.

    Raises:
        DeployError: a file is missing, a name cannot be one, or the context cannot be written.
        DeclarationError: the app's Python files are too many to be the code of one app.
    """
    name = image_name(name, app.name)
    files = files_of(target)
    packages = Packages(target.folder, app.services, variant, s3=s3, tests=bool(files.tests))
    return _Plan(name, app, files, packages).written(FOLDER / (target.label + ("-cuda" if variant == "cuda" else "")))


class _Plan:
    """The images of one app, stage by stage."""

    def __init__(self, name: str, app: AppSpec, files: AppFiles, packages: Packages) -> None:
        self._name = name
        self._app = app
        self._files = files
        self._packages = packages
        self._base = f"python:{sys.version_info.major}.{sys.version_info.minor}-slim"
        self._labels = {
            "org.opencontainers.image.title": app.name,
            "org.opencontainers.image.base.name": self._base,
            "kapelle.version": VERSION,
        }
        self._code = {"kapelle.app": files.place, "kapelle.code": code_version(files.code)}

    def written(self, context: Path) -> Images:
        """The context, written, and the images that are made from it."""
        files = self._context()
        stages = Stages(dockerfile.head(self._files.place, self._base), self._stages(), files)
        write_context(context, {**files, DOCKERFILE: stages.text.encode()})

        def image(stage: str, suffix: str) -> Image:
            reference = f"{self._name}{suffix}:{tag_of(stages.digest(stage))}"
            return Image(reference, DOCKERFILE, stage)

        sets = {name: self._packages.of(name) for name, spec in self._app.services.items() if not spec.inline}
        return Images(
            context=context,
            services={name: image(_stage_of(one), f"-{one.name}" if one.name else "") for name, one in sets.items()},
            gateway=image("gateway", ""),
            door=image("door", "-door"),
            release=image("release", "-release"),
            tests=image(TESTS, "-tests") if self._files.tests else None,
            place=self._files.place,
            grpc=self._packages.grpc,
        )

    def _context(self) -> dict[str, Content]:
        found: dict[str, Content] = {dockerfile.INSTALLER: dockerfile.INSTALL.encode()}
        found |= self._packages.files
        # The project's own settings; variables of the container win over them.
        found[_CODE + "kapelle.toml"] = settings_file(Path.cwd())
        for folder, files in ((_CODE, self._files.code.files), (_RELEASE, self._files.release)):
            found |= {folder + path: content for path, content in files.items()}
        return found | {_TESTS + path: content for path, content in self._files.tests.items()}

    def _stages(self) -> list[Stage]:
        packages = self._packages
        found = [dockerfile.builder(), dockerfile.package(packages.wheel), dockerfile.base()]
        found.append(dockerfile.code("code", _CODE, "/app"))
        for one in packages.sets:
            found += self._serving(one)
        return found + self._release() + (self._tests() if self._files.tests else [])

    def _serving(self, one: PackageSet) -> list[Stage]:
        """The stages of a set of packages: installed, as a runtime, and with the code."""
        installed = f"dependencies-{one.name}" if one.name else "dependencies"
        runtime = f"runtime-{one.name}" if one.name else "door"
        command = ["kapelle", "start", "replica" if one.name else "gateway", self._files.place]
        labels = {**self._labels, "kapelle.requirements": " ".join(one.named)}
        return [
            dockerfile.dependencies(installed, one.files, one.read),
            dockerfile.runtime(runtime, installed, _cuda() if one.cuda else {}, labels),
            dockerfile.served(_stage_of(one), runtime, self._code, command),
        ]

    def _release(self) -> list[Stage]:
        extra = self._packages.build
        layers: dict[str, str] = {}
        stages: list[Stage] = []
        if extra.files:
            stages.append(
                dockerfile.beyond("dependencies-build", "dependencies", "/opt/build", extra.files, extra.read)
            )
            layers["dependencies-build"] = "/opt/build"
        if self._files.release:
            stages.append(dockerfile.code("material", _RELEASE, "/material"))
            layers["material"] = "/material"
        says = "Makes the first release of a store: the builder, what only it needs, and what it builds from."
        command = ["kapelle", "release", "build", self._files.place, "--once"]
        return [*stages, dockerfile.job("release", says, layers, self._code, command)]

    def _tests(self) -> list[Stage]:
        extra = self._packages.tests
        command = ["python", "-m", "pytest", "-p", "no:cacheprovider", f"{self._files.folder}{TESTS}"]
        says = "Asks the running system, at the address in KAPELLE_URL, by the app's own tests."
        layers = {"dependencies-tests": "/opt/tests", "questions": "/questions"}
        return [
            dockerfile.beyond("dependencies-tests", "dependencies", "/opt/tests", extra.files, extra.read),
            dockerfile.code("questions", _TESTS, "/questions"),
            dockerfile.job(TESTS, says, layers, self._code, command),
        ]


def _stage_of(one: PackageSet) -> str:
    return SERVICES + one.name if one.name else "gateway"


def _cuda() -> dict[str, str]:
    """What NVIDIA's container runtime looks at, and where pip puts the libraries that ONNX Runtime loads."""
    site = f"/opt/venv/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages/nvidia"
    return {**_CUDA, "LD_LIBRARY_PATH": ":".join(f"{site}/{one}/lib" for one in _CUDA_LIBRARIES)}

"""Base images out of this machine's own packages, named like public ones, for machines that reach no registry.

So the same Dockerfiles are built everywhere. The same packages make the same image, byte for byte: its identity is a
digest of its files, and those have the times of their packages.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE
from typing import IO

from scripts.engine import IN_IMAGES, UNPACKED
from tests.containers.docker import SLOW, Docker, DockerFailed
from tests.containers.packages import files_of, installed

PYTHON = "python:3.11-slim"
ENGINE = "docker:26-dind"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
EPOCH = "1970-01-01T00:00:00Z"

FOLDERS = {"dev": 0o755, "proc": 0o755, "root": 0o700, "run": 0o755, "sys": 0o755, "tmp": 0o1777, "var/tmp": 0o1777}
MERGED = ("bin", "lib", "lib64", "sbin")
"""Folders that are links into /usr; the links belong to no package."""
WRITTEN_AT_SETUP = {
    "etc/group": "/usr/share/base-passwd/group.master",
    "etc/passwd": "/usr/share/base-passwd/passwd.master",
    "etc/nsswitch.conf": "/usr/share/libc-bin/nsswitch.conf",
    "etc/ld.so.cache": "/etc/ld.so.cache",
}
"""Files that packages do not have but make, and what they make them of: this machine's users are its own affair."""


@dataclass(frozen=True)
class Recipe:
    """What an image is made of.

    ``packages`` come with all that they need; ``files`` are places in the image and what lies there, ``links`` places and
    where they lead.
    """

    tag: str
    packages: Sequence[str]
    command: Sequence[str]
    files: Mapping[str, Path] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)


def python_recipe() -> Recipe:
    """The public Python image: the interpreter, pip and venv, and the authorities that this machine trusts."""
    return Recipe(
        tag=PYTHON,
        packages=IN_IMAGES,
        command=["python3"],
        files={"etc/ssl/certs/ca-certificates.crt": Path("/etc/ssl/certs/ca-certificates.crt")},
        links={
            "usr/local/bin/python": "/usr/bin/python3",
            "usr/local/bin/python3": "/usr/bin/python3",
            "usr/local/bin/pip": "/usr/bin/pip3",
        },
    )


def engine_recipe() -> Recipe:
    """The public image of an engine inside a container."""
    programs = ("bin/containerd", "bin/containerd-shim-runc-v2", "sbin/dockerd", "sbin/docker-proxy")
    return Recipe(
        tag=ENGINE,
        packages=["ca-certificates", "iproute2", "iptables", "runc", "tini"],
        command=["dockerd"],
        files={f"usr/local/bin/{Path(each).name}": UNPACKED / "usr" / each for each in programs},
        links={
            "var/run": "/run",
            "usr/local/bin/docker-init": "/usr/bin/tini",
            "usr/sbin/iptables": "iptables-nft",
            "usr/sbin/ip6tables": "ip6tables-nft",
        },
    )


def provide(docker: Docker, tag: str, recipe: Callable[[], Recipe]) -> None:
    """See that the engine has the image: it has it, a registry has it, or it is made here.

    Raises:
        DockerFailed: no registry is reached, and this machine cannot make it.
    """
    if docker.has_image(tag):
        return
    pulled = docker.attempt("pull", "--quiet", tag, timeout=SLOW)
    if pulled.status:
        try:
            load(docker, recipe())
        except (OSError, KeyError) as error:
            raise DockerFailed(
                f"{tag}: no registry has it, and it cannot be made here\n{pulled.errors}{error}"
            ) from error


def load(docker: Docker, recipe: Recipe) -> None:
    """Make an image and load it into the engine."""
    with tempfile.TemporaryFile() as layer:
        write_layer(recipe, layer)
        layer.seek(0)
        identity = hashlib.file_digest(layer, "sha256").hexdigest()
        loading = docker.start("load", "--quiet", stdin=PIPE, stdout=PIPE, stderr=PIPE)
        assert loading.stdin is not None
        with loading.stdin as pipe, tarfile.open(fileobj=pipe, mode="w|") as archive:
            _add(archive, "config.json", json.dumps(configuration(recipe, identity)).encode())
            manifest = [{"Config": "config.json", "RepoTags": [recipe.tag], "Layers": ["layer.tar"]}]
            _add(archive, "manifest.json", json.dumps(manifest).encode())
            entry = tarfile.TarInfo("layer.tar")
            entry.size = layer.seek(0, io.SEEK_END)
            layer.seek(0)
            archive.addfile(entry, layer)
        loading.stdin = None
        _, errors = loading.communicate(timeout=SLOW)
    if loading.returncode:
        raise DockerFailed(f"docker load {recipe.tag}: {errors.decode()}")


def configuration(recipe: Recipe, layer: str) -> object:
    """The image's configuration; ``layer`` is the digest of its only layer."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}
    return {
        "architecture": machine.get(os.uname().machine, os.uname().machine),
        "os": "linux",
        "created": EPOCH,
        "config": {"Env": [f"PATH={PATH}", "LANG=C.UTF-8"], "Cmd": [*recipe.command]},
        "history": [{"created": EPOCH, "created_by": f"packages of this machine: {' '.join(recipe.packages)}"}],
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer}"]},
    }


def write_layer(recipe: Recipe, stream: IO[bytes]) -> None:
    """Write the layer's archive: folders, the packages' files, and the recipe's own on top."""
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, mode in FOLDERS.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            archive.addfile(entry)
        for name in MERGED:
            if Path("/", name).is_symlink():
                _link(archive, name, str(Path("/", name).readlink()))
        own = {each: Path(of) for each, of in WRITTEN_AT_SETUP.items()} | dict(recipe.files)
        placed = {*FOLDERS, *MERGED, *own, *recipe.links}
        for path in files_of(installed().closure(recipe.packages)):
            name = str(path.relative_to("/"))
            # Debian notes that pip is not to install into its Python; the public image has no such note.
            if name not in placed and path.name != "EXTERNALLY-MANAGED":
                _copy(archive, name, path, kept=True)
                _copy_compiled(archive, path)
        for name, path in own.items():
            _copy(archive, name, path)
        for name, to in recipe.links.items():
            _link(archive, name, to)


def _copy(archive: tarfile.TarFile, name: str, path: Path, *, kept: bool = False) -> None:
    """Add a file, link or folder; a file from a package keeps its time, which its compiled form has noted."""
    entry = archive.gettarinfo(path, name)
    entry.uname = entry.gname = ""
    entry.mtime = int(entry.mtime) if kept and not entry.isdir() else 0
    with path.open("rb") if entry.isreg() else io.BytesIO() as content:
        archive.addfile(entry, content)


def _copy_compiled(archive: tarfile.TarFile, source: Path) -> None:
    """Add the compiled form of a Python source: without it every start compiles the library again."""
    compiled = source.parent / "__pycache__" / f"{source.stem}.{sys.implementation.cache_tag}.pyc"
    if source.suffix == ".py" and compiled.exists():
        _copy(archive, str(compiled.relative_to("/")), compiled)


def _link(archive: tarfile.TarFile, name: str, to: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, to, 0o777
    archive.addfile(entry)


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))

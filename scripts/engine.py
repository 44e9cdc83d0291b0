"""A container engine for the tests: the one that runs here, or else a newer one than the system has, unpacked in .venv.

Nothing of it is installed: its programs lie in .venv/engine, and the tests start it for themselves. What the system has
to bring are small packages with iptables, runc and the like.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.environment import PYTHON, STAMPS, VENV
from scripts.steps import Step, digest

UNPACKED = VENV / "engine"
OLDEST = 25
"""The first major version that knows all that the generated files say."""

SUITE = "trixie"
PACKAGES = ("docker.io", "docker-cli", "docker-compose", "docker-buildx", "containerd")
"""Packages of that Debian release. Their programs need only the C library of this or the one before it."""

BESIDE = ("iptables", "iproute2", "runc", "tini", "slirp4netns", "debian-archive-keyring")
"""System packages that an unpacked engine needs beside it."""

IN_IMAGES = ("ca-certificates", "libstdc++6", "passwd", "python3", "python3-pip", "python3-venv")
"""System packages that base images are made of where no registry is reached."""


@dataclass(frozen=True)
class Clients:
    """Where the programs ``docker``, ``docker compose`` and ``docker buildx`` are found."""

    environment: Mapping[str, str]

    def trouble(self) -> str:
        """Why the engine that they reach cannot be used; empty when it can."""
        try:
            version = self._ask("version", "--format", "{{json .Server.Version}}")
            self._ask("compose", "version")
            self._ask("buildx", "version")
        except OSError as error:
            return f"the program docker cannot be run: {error}"
        except subprocess.TimeoutExpired as error:
            return f"no answer within {error.timeout:g} s to: {' '.join(error.cmd)}"
        except subprocess.CalledProcessError as error:
            return (error.stderr or error.stdout).strip() or f"exit status {error.returncode}"
        return too_old(json.loads(version))

    def _ask(self, *arguments: str) -> str:
        path = shutil.which("docker", path=self.environment.get("PATH")) or "docker"
        asked = [path, *arguments]
        done = subprocess.run(asked, env=self.environment, check=True, capture_output=True, text=True, timeout=20)
        return done.stdout


def too_old(version: str) -> str:
    """What is wrong with this version of the engine; empty when nothing is."""
    major = version.split(".", 1)[0]
    if major.isdigit() and int(major) >= OLDEST:
        return ""
    return f"the engine has version {version}; expected {OLDEST} or newer"


def running() -> Clients:
    """The engine that the caller's own environment leads to."""
    return Clients(dict(os.environ))


def unpacked(socket: Path | None = None, folder: Path = UNPACKED) -> Clients:
    """The clients of the unpacked engine, asking at ``socket``."""
    path = f"{folder / 'usr/bin'}:{folder / 'usr/sbin'}:{os.environ.get('PATH', os.defpath)}"
    environment = {**os.environ, "PATH": path, "DOCKER_CONFIG": str(folder / "config")}
    environment.pop("DOCKER_CONTEXT", None)
    if socket is not None:
        environment["DOCKER_HOST"] = f"unix://{socket}"
    return Clients(environment)


def engine_steps() -> list[Step]:
    """Fetch an engine where none runs and this user may start one; without an engine the tests of containers are skipped."""
    if not may_start() or not running().trouble():
        return []
    missing = not_installed(*BESIDE, *IN_IMAGES)
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    return [
        Step(
            title=f"Installing the system packages {', '.join(missing)}, which containers need",
            stamp=STAMPS / "engine-packages",
            digest=digest(*missing),
            commands=[["apt-get", "update"], install] if missing else [],
            product=VENV,
        ),
        Step(
            title="Fetching a container engine, which the tests of containers start",
            stamp=STAMPS / "engine",
            digest=digest(SUITE, *PACKAGES),
            commands=[[str(PYTHON), "-m", "scripts.fetch_engine", str(UNPACKED)]],
            product=UNPACKED / "usr/sbin/dockerd",
        ),
    ]


def not_installed(*packages: str) -> list[str]:
    """Those system packages that are not installed, in the order given."""
    asked = ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *packages]
    found = subprocess.run(asked, check=False, capture_output=True, text=True).stdout.splitlines()
    return [each for each in packages if f"{each} installed" not in found]


def may_start() -> bool:
    """Whether this user may start an engine of its own here: the superuser of a Linux with Debian's packages."""
    return sys.platform == "linux" and os.geteuid() == 0 and shutil.which("apt-get") is not None

"""Fetch the packages of a container engine from Debian's archive and unpack them; nothing is installed.

Run as ``python -m scripts.fetch_engine FOLDER``.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scripts.engine import PACKAGES, SUITE

KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
ARCHIVE = "http://deb.debian.org/debian/"


def main(arguments: Sequence[str]) -> None:
    """Put the engine into the folder, whole or not at all."""
    folder = Path(arguments[0])
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetching-") as name:
        work = Path(name)
        work.chmod(0o755)
        unpack(download(work), work / "tree")
        shutil.rmtree(folder, ignore_errors=True)
        (work / "tree").rename(folder)


def download(work: Path) -> list[Path]:
    """The packages' files, with apt's own state below ``work``: the system's lists and cache are left as they are."""
    packages = work / "packages"
    for each in (packages, work / "lists/partial", work / "cache/archives/partial"):
        each.mkdir(parents=True)
    (work / "sources.list").write_text(source(archive()))
    subprocess.run([*apt(work), "update"], check=True)
    wanted = [f"{package}/{SUITE}" for package in PACKAGES]
    subprocess.run([*apt(work), "download", *wanted], cwd=packages, check=True, stdout=subprocess.DEVNULL)
    return sorted(packages.glob("*.deb"))


def unpack(packages: Sequence[Path], tree: Path) -> None:
    """Unpack the files, and lead the engine to the system's init and the client to its plug-ins where neither looks."""
    for package in packages:
        extract = ["dpkg", "--extract", str(package), str(tree)]
        subprocess.run(extract, check=True)
    shutil.rmtree(tree / "usr/share")
    (tree / "usr/bin/docker-init").unlink(missing_ok=True)
    (tree / "usr/bin/docker-init").symlink_to("/usr/bin/tini")
    plugins = tree / "config/cli-plugins"
    plugins.mkdir(parents=True)
    for plugin in (tree / "usr/libexec/docker/cli-plugins").iterdir():
        (plugins / plugin.name).symlink_to(Path("../../usr/libexec/docker/cli-plugins", plugin.name))


def apt(work: Path) -> list[str]:
    """The start of a command of apt that keeps to ``work``."""
    options = {
        "Dir::Etc::sourcelist": work / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": work / "lists",
        "Dir::Cache": work / "cache",
        "APT::Sandbox::User": "root",
    }
    return ["apt-get", "-qq", *(f"--option={name}={value}" for name, value in options.items())]


def source(archive: str) -> str:
    """The line that names the archive, whose signatures are checked with the keys of the system."""
    return f"deb [signed-by={KEYS}] {archive} {SUITE} main\n"


def archive() -> str:
    """The mirror of Debian that this machine uses, its first one with the main archive; the public one where it has none."""
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(LABEL)", "Created-By: Packages"]
    found = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    return first_mirror(found)


def first_mirror(targets: str) -> str:
    """The first address of Debian itself in a list of lines "address origin label"; security updates are labelled so."""
    for line in targets.splitlines():
        address, _, rest = line.partition(" ")
        if rest == "Debian Debian":
            return address
    return ARCHIVE


if __name__ == "__main__":
    main(sys.argv[1:])

"""Where the engine's packages come from, and how they are laid out."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.fetch_engine import ARCHIVE, apt, first_mirror, unpack


@pytest.mark.parametrize(
    ("targets", "mirror"),
    [
        (
            "http://mirror/security/ Debian Debian-Security\nhttp://mirror/debian/ Debian Debian\n",
            "http://mirror/debian/",
        ),
        ("http://mirror/ubuntu/ Ubuntu Ubuntu\n", ARCHIVE),
        ("", ARCHIVE),
    ],
)
def test_the_machines_own_mirror_is_asked(targets: str, mirror: str) -> None:
    assert first_mirror(targets) == mirror


def test_apt_keeps_to_a_folder_of_its_own(tmp_path: Path) -> None:
    options = dict(each.removeprefix("--option=").split("=") for each in apt(tmp_path)[2:])
    for state in ("Dir::Etc::sourcelist", "Dir::State::lists", "Dir::Cache"):
        assert Path(options[state]).is_relative_to(tmp_path)


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="packages are made with dpkg-deb, of Debian")
def test_packages_are_unpacked_and_plugins_found(tmp_path: Path) -> None:
    plugin = tmp_path / "package/usr/libexec/docker/cli-plugins/docker-compose"
    for path in (plugin, tmp_path / "package/usr/bin/docker", tmp_path / "package/usr/share/doc/docker/copyright"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("contents")
    (tmp_path / "package/DEBIAN").mkdir()
    (tmp_path / "package/DEBIAN/control").write_text(CONTROL)
    subprocess.run(["dpkg-deb", "--build", tmp_path / "package", tmp_path / "x.deb"], check=True, capture_output=True)
    unpack([tmp_path / "x.deb"], tmp_path / "tree")
    assert (tmp_path / "tree/config/cli-plugins/docker-compose").read_text() == "contents"
    assert (tmp_path / "tree/usr/bin/docker-init").readlink() == Path("/usr/bin/tini")
    assert not (tmp_path / "tree/usr/share").exists()


CONTROL = """\
Package: sample
Version: 1
Architecture: all
Maintainer: Somebody <somebody@example.org>
Description: a sample
"""

"""The wheel is the Kapelle that runs: complete, the same each time, and taken by pip."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import kapelle
from kapelle.deploy.wheel import needs, wheel
from kapelle.errors import DeployError
from kapelle.version import VERSION


def test_the_same_files_are_the_same_bytes() -> None:
    name, content = wheel()
    assert name == f"kapelle-{VERSION}-py3-none-any.whl"
    assert wheel()[1] == content


def test_it_has_the_package_and_no_byte_code() -> None:
    names = zipfile.ZipFile(io.BytesIO(wheel()[1])).namelist()
    assert {"kapelle/__init__.py", "kapelle/py.typed", f"kapelle-{VERSION}.dist-info/RECORD"} <= {*names}
    assert not [name for name in names if name.endswith(".pyc")]
    root = Path(kapelle.__file__).parent
    assert sum(name.endswith(".py") for name in names) == len([*root.rglob("*.py")])


def test_pip_takes_it(tmp_path: Path) -> None:
    name, content = wheel()
    (tmp_path / name).write_bytes(content)
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", str(tmp_path / "to")]
    subprocess.run([*command, str(tmp_path / name)], check=True, capture_output=True)
    about = tmp_path / "to" / f"kapelle-{VERSION}.dist-info"
    assert (about / "METADATA").is_file()
    assert "kapelle.cli.main:main" in (about / "entry_points.txt").read_text()


def test_what_it_needs_by_its_extras() -> None:
    assert not [line for line in needs(set()) if "extra" in line or line.startswith(("pytest", "obstore"))]
    assert [line for line in needs({"s3"}) if line not in needs(set())] == ["obstore>=0.12"]
    assert any(line.endswith("; sys_platform != 'win32'") for line in needs(set()))


def test_extras_that_are_not_there_are_said() -> None:
    with pytest.raises(DeployError, match=r"this Kapelle was installed without the extra 'nothing'.*install it again"):
        needs({"nothing"})


def test_sources_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kapelle.deploy.wheel._NAME", "kapelle-that-is-not-there")
    with pytest.raises(DeployError, match="is not installed"):
        wheel()

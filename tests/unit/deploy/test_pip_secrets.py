"""What pip needs to reach packages here reaches it in a build."""

from __future__ import annotations

from pathlib import Path

from kapelle.deploy.pip_secrets import pip_secrets


def test_certificates_and_configuration_are_lent(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "pip.conf").touch()
    environment = {"SSL_CERT_FILE": str(tmp_path / "ca.pem"), "XDG_CONFIG_HOME": str(tmp_path)}
    assert pip_secrets(environment, []) == [
        f"--secret=id=ca,src={tmp_path}/ca.pem", f"--secret=id=pip,src={tmp_path}/pip/pip.conf"
    ]  # fmt: skip
    environment["PIP_CERT"] = str(tmp_path / "missing.pem")
    assert pip_secrets(environment, ["--secret", "id=pip,src=mine"]) == [f"--secret=id=ca,src={tmp_path}/ca.pem"]


def test_a_configuration_that_is_named_is_the_one(tmp_path: Path) -> None:
    (tmp_path / "own.conf").touch()
    assert pip_secrets({"PIP_CONFIG_FILE": str(tmp_path / "own.conf")}, []) == [
        f"--secret=id=pip,src={tmp_path}/own.conf"
    ]

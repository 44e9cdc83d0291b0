"""The settings of a project reach its images, from either file."""

from __future__ import annotations

from pathlib import Path

from kapelle.config.settings import load
from kapelle.deploy.settings_file import settings_file


def test_settings_of_both_files_in_one(tmp_path: Path) -> None:
    assert settings_file(tmp_path) == b""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n[tool.kapelle]\nmax_body = 5\nport = 1\n')
    (tmp_path / "kapelle.toml").write_text(
        'port = 2\nbake = "1m"\nhost = "::"\naccess_log = false\nnode = "é🎻"\n', "utf-8"
    )
    written = tmp_path / "image"
    written.mkdir()
    (written / "kapelle.toml").write_bytes(settings_file(tmp_path))
    there = load(folder=written, environment={})
    assert there.settings == load(folder=tmp_path, environment={}).settings
    assert sorted(name for name, origin in there.origins.items() if origin != "default") == [
        "access_log", "bake", "host", "max_body", "node", "port"
    ]  # fmt: skip


def test_files_of_this_machine_stay_here(tmp_path: Path) -> None:
    """A gateway in a container would end for want of the certificate, a builder would not be asked for artifacts."""
    (tmp_path / "kapelle.toml").write_text(
        'tls_certificate = "chain.pem"\ntls_key = "key.pem"\nartifacts = "../made"\nmax_body = 5\n'
    )
    assert settings_file(tmp_path) == b"max_body = 5\n"

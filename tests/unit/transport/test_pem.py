"""PEM files that settings name: what is wrong is told by the setting. Both users of this test it with all their cases."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from kapelle.errors import ConfigError
from kapelle.transport.pem import check_readable, load_chain


def test_a_file_that_is_not_there_is_told_by_its_setting(tmp_path: Path) -> None:
    path = str(tmp_path / "key.pem")
    with pytest.raises(
        ConfigError, match=r"some_key = '.*key\.pem': No such file .*; give the path of a PEM file with it"
    ):
        check_readable("some_key", path, "it")
    Path(path).touch()
    check_readable("some_key", path, "it")


def test_what_is_none_is_told_by_both_settings(tmp_path: Path) -> None:
    path = tmp_path / "none.pem"
    path.write_text("no certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with pytest.raises(ConfigError, match=r"chain = '.*' or key = '.*' is not what it should be"):
        load_chain(context, ("chain", str(path)), ("key", str(path)), "process's")

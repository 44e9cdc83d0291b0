from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kapelle.config.settings import Settings
from kapelle.deploy.certificates import SETTINGS, Certificates, certificates_of
from kapelle.errors import DeployError
from tests.certificates import Member, make_authority


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Member:
    return make_authority(tmp_path_factory.mktemp("authority")).sign("peer")


def test_without_settings_there_are_none() -> None:
    assert certificates_of(Settings()) == Certificates()


def test_files_are_those_of_the_settings(member: Member) -> None:
    # The secret of containers is another than that of this machine, which may have none.
    found = certificates_of(Settings(secret_file="nowhere", **member.settings))
    assert found.files == {
        "peer-certificate": member.chain,
        "peer-key": member.key,
        "peer-authority": member.authority,
    }


@pytest.mark.parametrize("setting", SETTINGS.values())
def test_a_missing_file_is_told_by_its_setting(member: Member, setting: str) -> None:
    with pytest.raises(DeployError, match=f"{setting} = 'nowhere.pem': No such file"):
        certificates_of(Settings(**member.settings | {setting: "nowhere.pem"}))


@pytest.mark.parametrize("setting", SETTINGS.values())
def test_what_is_no_certificate_is_told_by_its_setting(member: Member, setting: str, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(DeployError, match=f"{setting} = '.*empty.pem'.* what it should be"):
        certificates_of(Settings(**member.settings | {setting: str(tmp_path / "empty.pem")}))


def test_another_certificate_is_another_digest(member: Member, tmp_path: Path) -> None:
    first = certificates_of(Settings(**member.settings))
    copy = replace(member, chain=tmp_path / "chain.pem")
    copy.chain.write_bytes(member.chain.read_bytes())
    assert certificates_of(Settings(**copy.settings)).digest == first.digest
    copy.chain.write_bytes(member.chain.read_bytes() + member.authority.read_bytes())
    assert certificates_of(Settings(**copy.settings)).digest != first.digest

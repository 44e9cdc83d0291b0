from __future__ import annotations

import stat
from pathlib import Path

import pytest

from kapelle.deploy.secrets import GRAFANA, PEERS, S3, check_secrets, digest_of, make_secrets, remove_secrets
from kapelle.errors import DeployError


def test_makes_each_once_and_never_again(tmp_path: Path) -> None:
    made = make_secrets(tmp_path, [PEERS, S3])
    assert [path.name for path in made] == [PEERS, S3]
    text = made[0].read_text()
    assert len(text) >= 40
    assert make_secrets(tmp_path, [PEERS, S3, GRAFANA]) == [tmp_path / "secrets" / GRAFANA]
    assert made[0].read_text() == text


def test_only_the_owner_and_containers_read_them(tmp_path: Path) -> None:
    [path] = make_secrets(tmp_path, [PEERS])
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert (path.parent / ".gitignore").read_text() == "*\n"


def test_a_given_file_is_copied_so_that_containers_can_read_it(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text("first")
    key.chmod(0o600)
    [path] = make_secrets(tmp_path, ["peer-key"], {"peer-key": key})
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("first", 0o644)
    assert make_secrets(tmp_path, ["peer-key"], {"peer-key": key}) == []
    key.write_text("renewed")
    assert make_secrets(tmp_path, ["peer-key"], {"peer-key": key}) == [path]
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("renewed", 0o644)
    assert remove_secrets(tmp_path) == [path]
    assert key.read_text() == "renewed"


@pytest.mark.parametrize(("text", "told"), [(None, "cannot be read"), ("", "is empty"), (" \n", "is empty")])
def test_a_missing_or_empty_secret_is_refused(tmp_path: Path, text: str | None, told: str) -> None:
    [path] = make_secrets(tmp_path, [PEERS])
    check_secrets(tmp_path, [PEERS])
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(DeployError, match=f"secrets/kapelle {told}"):
        check_secrets(tmp_path, [PEERS])


def test_a_secret_may_be_any_bytes(tmp_path: Path) -> None:
    """As processes take it, and `head -c 32 /dev/urandom` makes it."""
    [path] = make_secrets(tmp_path, [PEERS])
    path.write_bytes(b"\xff\xfe" * 16)
    check_secrets(tmp_path, [PEERS])


def test_removes_what_it_has_made(tmp_path: Path) -> None:
    make_secrets(tmp_path, [PEERS, GRAFANA, S3])
    assert [path.name for path in remove_secrets(tmp_path)] == [PEERS, GRAFANA]
    assert [path.name for path in (tmp_path / "secrets").glob("[!.]*")] == [S3]
    assert remove_secrets(tmp_path) == []


def test_a_digest_says_whether_it_has_changed(tmp_path: Path) -> None:
    [path] = make_secrets(tmp_path, [PEERS])
    before = digest_of(tmp_path, PEERS)
    assert digest_of(tmp_path, PEERS) == before
    path.write_text("another")
    assert digest_of(tmp_path, PEERS) != before


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DeployError, match="cannot be written"):
        make_secrets(tmp_path / "file", [PEERS])

from __future__ import annotations

from pathlib import Path

import pytest

from kapelle.cli import taking_down
from kapelle.cli.taking_down import down_from_compose, down_from_kubernetes, down_from_swarm
from kapelle.deploy.secrets import PEERS, make_secrets
from tests.unit.cli.served import APP
from tests.unit.deploy.engine import Answering

READY = {"version": "28.2.2", "compose version --short": "2.30.0", "info": "active true"}


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Answering:
    """An engine that is ready, and a folder with an app and its secret."""
    found = Answering(dict(READY))
    monkeypatch.setattr(taking_down, "Docker", lambda: found)
    monkeypatch.setattr(taking_down, "kubectl", lambda: found)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").write_text(APP)
    make_secrets(tmp_path / "out", [PEERS])
    make_secrets(tmp_path / "out/base", [PEERS])
    return found


def test_compose_says_what_it_removed(engine: Answering, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine.answers |= {"network ls": "app_peers\n", "volume ls": "app_store\n"}
    assert down_from_compose("app.py", "out", volumes=True) == 0
    assert capsys.readouterr().out.splitlines() == [
        "removed network app_peers", "removed volume app_store", "removed secret out/secrets/kapelle",
    ]  # fmt: skip
    assert any(one.endswith("down --remove-orphans --volumes") for one in engine.asked)


def test_compose_keeps_what_is_stored(engine: Answering, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert down_from_compose("app.py", "out", volumes=False) == 0
    assert "was there" in capsys.readouterr().out
    assert (tmp_path / "out/secrets/kapelle").is_file()


def test_a_swarm_says_what_is_left_on_other_machines(engine: Answering, capsys: pytest.CaptureFixture[str]) -> None:
    engine.answers |= {"volume ls": "app_cache\n"}
    assert down_from_swarm("app.py", "out", volumes=True) == 0
    shown = capsys.readouterr().out
    assert "removed volume app_cache" in shown
    assert "volumes of other machines stay: docker volume rm" in shown


def test_kubernetes(engine: Answering, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine.answers |= {"delete namespace": 'namespace "app" deleted\n'}
    assert down_from_kubernetes("app.py", "out", volumes=True) == 0
    assert "removed namespace app" in capsys.readouterr().out
    assert not (tmp_path / "out/base/secrets/kapelle").exists()

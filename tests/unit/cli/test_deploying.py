from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kapelle.cli import deploying
from kapelle.cli.deploying import Request, run_compose, run_kubernetes, run_swarm
from kapelle.declare.apps import AppSpec
from kapelle.declare.loading import Target
from kapelle.deploy.images import Images
from kapelle.errors import ConfigError, DeployError
from tests.certificates import make_authority
from tests.unit.cli.served import APP
from tests.unit.deploy.systems import images_of

REQUEST = Request("app.py", "out", [], observe=False, variant="cpu")
FAR = replace(REQUEST, options={"store": "s3://a/b"})
RUNS: dict[str, tuple[Callable[..., int], Request]] = {
    "compose": (run_compose, REQUEST), "swarm": (run_swarm, FAR), "kubernetes": (run_kubernetes, REQUEST),
}  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an app, whose images have names that its files do not change."""
    names: list[str] = []

    def plan(target: Target, app: AppSpec, *, variant: str, name: str, s3: bool) -> Images:
        names.append(name)
        return images_of(app, target.text, Path(".kapelle/images/app"))

    monkeypatch.setattr(deploying, "plan_images", plan)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


@pytest.mark.parametrize("engine", RUNS)
def test_writes_files_and_says_how_to_start_them(engine: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, request = RUNS[engine]
    assert run(request, up=False) == 0
    shown = capsys.readouterr().out
    assert ": written" in shown
    assert "secrets/kapelle: made, a secret; git does not see it" in shown
    assert f"start it  {request.to_start(engine)}" in shown
    before = {path: path.read_bytes() for path in (folder / "out").rglob("*") if path.is_file()}
    assert run(request, up=False) == 0
    again = capsys.readouterr().out
    assert "written" not in again
    assert "made" not in again
    assert {path: path.read_bytes() for path in (folder / "out").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(("engine", "missing"), [("compose", "docker"), ("swarm", "docker"), ("kubernetes", "kubectl")])
def test_starting_without_the_engines_program_is_told(
    engine: str, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    run, request = RUNS[engine]
    with pytest.raises(DeployError, match=f"there is no {missing} on this machine; install"):
        run(request, up=True)


def test_a_swarm_without_a_store_for_all_leaves_nothing(folder: Path) -> None:
    with pytest.raises(DeployError, match="--store s3://bucket/prefix"):
        run_swarm(REQUEST, up=False)
    assert not (folder / "out").exists()


def test_a_store_of_another_kind_leaves_nothing(folder: Path) -> None:
    """It would have been a folder of that name."""
    with pytest.raises(ConfigError, match=r"^a store cannot be at gs://…; expected a folder, or s3://bucket/prefix"):
        run_compose(replace(REQUEST, options={"store": "gs://bucket/search"}), up=False)
    assert not (folder / "out").exists()


@pytest.mark.parametrize("word", ["gateway", "gateway=", "=3", "gateway=many", "gateway=-1"])
def test_a_scale_of_the_wrong_form_is_refused(word: str) -> None:
    with pytest.raises(DeployError, match=r"--scale .*: expected a name and a number, as in Encoder=4"):
        run_compose(replace(REQUEST, scale=[word]), up=False)


@pytest.mark.parametrize("engine", RUNS)
def test_certificates_of_the_settings_are_copied(
    engine: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, request = RUNS[engine]
    for name, value in make_authority(folder).sign("peer").settings.items():
        monkeypatch.setenv(f"KAPELLE_{name.upper()}", value)
    assert run(request, up=False) == 0
    assert "secrets/peer-key: made, a secret" in capsys.readouterr().out
    [copy] = (folder / "out").rglob("peer-key")
    assert copy.read_bytes() == (folder / "peer-key.pem").read_bytes()


@pytest.mark.parametrize("engine", RUNS)
def test_a_missing_certificate_leaves_nothing(engine: str, folder: Path) -> None:
    run, request = RUNS[engine]
    settings = make_authority(folder).sign("peer").settings | {"peer_key": "nowhere.pem"}
    (folder / "kapelle.toml").write_text("".join(f'{name} = "{value}"\n' for name, value in settings.items()))
    with pytest.raises(DeployError, match=r"peer_key = 'nowhere\.pem': No such file"):
        run(request, up=False)
    assert not (folder / "out").exists()


def test_options_reach_the_files(folder: Path) -> None:
    run_compose(replace(REQUEST, scale=["gateway=3"], observe=True, options={"port": 9999}), up=False)
    text = (folder / "out/compose.yaml").read_text()
    assert '"9999:8080"' in text
    assert "replicas: 3" in text
    assert (folder / "out/grafana/kapelle.json").is_file()
    assert (folder / "out/secrets/grafana").is_file()


def test_what_is_told_to_type_asks_for_the_same_again() -> None:
    plain = Request("app.py", "deploy/swarm", [], False, "cpu", options={"port": None, "store": None})
    assert plain.to_start("swarm") == "kapelle deploy swarm app.py --up"
    assert plain.to_stop("swarm") == "kapelle down swarm app.py"
    scale, options = ["Big=3", "gateway=2"], {"port": 80, "store": "s3://a/b"}
    other = Request("my app", "k8s", scale, True, "cuda", "example.org/team", options)
    assert other.to_start("kubernetes") == (
        "kapelle deploy kubernetes 'my app' --out k8s --port 80 --store s3://a/b --scale Big=3 --scale gateway=2 "
        "--registry example.org/team --variant cuda --observe --up"
    )
    assert other.to_stop("kubernetes") == "kapelle down kubernetes 'my app' --out k8s"

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from kapelle.cli.builder import Builder
from kapelle.cli.project import Project
from kapelle.cli.release import run_build
from kapelle.errors import ArtifactError, ConfigError

APP = """
from pathlib import Path
import kapelle

@kapelle.service(artifact="model")
class Model:
    def __init__(self, artifact: Path) -> None:
        self.weights = (artifact / "weights").read_text()

    @kapelle.method
    def say(self) -> str:
        return self.weights

@kapelle.app
class Sample:
    model: Model

    @kapelle.get("/")
    async def say(self) -> str:
        return await self.model.say()
"""

BUILDER = """
import json, os, signal, sys
from pathlib import Path

def main(arguments):
    _, out, *options = arguments
    if options == ["--kill"]:
        os.kill(os.getpid(), signal.SIGKILL)
    if options[:1] == ["--fail"]:
        Path(out, "half").mkdir()
        print("no such data", file=sys.stderr)
        return int(options[1])
    if options == ["--nothing"]:
        return 0
    model = Path(out, "other" if options == ["--other"] else "model")
    model.mkdir()
    (model / "weights").write_text(json.dumps(options))
    Path(out + ".scratch").mkdir()
    print(f"built below {Path(out).parents[1]} in {Path.cwd()}")
"""


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an app with a builder, below the current one."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "app.py").write_text(APP)
    (folder / "build.py").write_text(BUILDER)
    return folder


def stored(target: str = "shop") -> list[str]:
    """What the weights of each release are, oldest first."""
    releases = Project(target, {}).releases
    files = [dict(one.manifest.files())["model/weights"] for one in releases.all()]
    return [b"".join(releases.read(file)).decode() for file in files]


def left() -> list[Path]:
    return list(Path(".kapelle/build").rglob("*/*"))


def test_the_release_is_what_the_builder_makes(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    options = ["--questions", "new.csv", "-v", "--seed=-3", "", "two words"]
    assert run_build("shop", None, None, options) == 0
    assert [json.loads(one) for one in stored()] == [options]
    begun, built, *stored_as = capfd.readouterr().out.splitlines()
    assert begun == "building with shop/build.py --questions new.csv -v --seed=-3 '' 'two words'"
    assert built.startswith(f"built below {tmp_path / '.kapelle' / 'build' / 'shop'}")
    assert built.endswith(f" in {tmp_path}")
    assert stored_as == [
        f"r1: 2 files, {len(json.dumps(options)) + Path('shop/app.py').stat().st_size} B, verified",
        "  serve it  kapelle serve shop --release r1",
    ]
    assert left() == []


def test_other_data_is_another_release_and_the_same_is_not(capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b", "a"):
        assert run_build("shop", None, None, ["--data", name]) == 0
    assert stored() == ['["--data", "a"]', '["--data", "b"]']
    assert "nothing has changed: this is r1" in capfd.readouterr().out


def test_artifacts_that_are_there_are_stored_as_they_are(shop: Path) -> None:
    (shop / "artifacts" / "model").mkdir(parents=True)
    (shop / "artifacts" / "model" / "weights").write_text("by hand")
    assert run_build("shop", None, None) == 0
    assert run_build("shop", None, None, ["--data", "a"]) == 0
    assert stored() == ["by hand", '["--data", "a"]']
    assert (shop / "artifacts" / "model" / "weights").read_text() == "by hand"


def test_artifacts_that_are_not_there_are_built() -> None:
    assert run_build("shop", None, None) == 0
    assert stored() == ["[]"]


@pytest.mark.parametrize("target", ["shop", "shop/app.py", "shop/app.py:Sample"])
def test_the_builder_is_beside_the_file_of_the_app(target: str, tmp_path: Path) -> None:
    (tmp_path / "build.py").write_text("raise SystemExit('the wrong one')")
    assert run_build(target, None, None, ["--x"]) == 0
    assert stored(target) == ['["--x"]']


def test_the_builder_of_a_package_imports_from_it(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "wares").mkdir()
    shutil.move(shop, tmp_path / "wares" / "shop")
    for folder in ("wares", "wares/shop"):
        (tmp_path / folder / "__init__.py").touch()
    package = tmp_path / "wares" / "shop"
    (package / "making.py").write_text(BUILDER)
    (package / "build.py").write_text("from wares.shop.making import main\n")
    assert run_build("wares/shop", None, None, ["--x"]) == 0
    assert run_build("wares.shop.app", None, None, ["--y"]) == 0
    assert stored("wares/shop") == ['["--x"]', '["--y"]']


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fail", "3"], r"^shop/build\.py ended with exit status 3; nothing was stored$"),
        (["--kill"], r"^shop/build\.py was ended by SIGKILL; nothing was stored$"),
        (["--nothing"], r"^shop/build\.py wrote nothing to its --out; nothing was stored$"),
        (["--other"], r"^shop/build\.py wrote other; shop also needs the artifact model$"),
    ],
)
def test_a_build_that_fails_stores_nothing_and_leaves_nothing(options: list[str], message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        run_build("shop", None, None, options)
    assert stored() == []
    assert left() == []


def test_the_builder_says_itself_what_is_wrong(shop: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ArtifactError, match="exit status 1"):
        run_build("shop", None, None, ["--fail", "1"])
    assert capfd.readouterr().err == "no such data\n"
    (shop / "build.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(ArtifactError, match="exit status 1"):
        run_build("shop", None, None, ["--x"])
    assert "No module named 'nothing_of_this_name'" in capfd.readouterr().err
    (shop / "build.py").write_text("main = 3\n")
    with pytest.raises(ArtifactError, match="exit status 1"):
        run_build("shop", None, None, ["--x"])
    assert (
        capfd.readouterr().err == f"{shop / 'build.py'} has no function main(arguments), with which a builder begins\n"
    )


def test_it_explains_its_options_and_builds_nothing(shop: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (shop / "build.py").write_text(
        "import argparse\n"
        "def main(arguments):\n"
        "    parser = argparse.ArgumentParser()\n"
        "    parser.add_argument('--flour')\n"
        "    parser.parse_args(arguments)\n"
    )
    assert run_build("shop", None, None, ["--help"]) == 0
    assert "--flour FLOUR" in capfd.readouterr().out
    assert not Path(".kapelle").exists()


def test_options_without_a_builder(shop: Path) -> None:
    (shop / "build.py").unlink()
    with pytest.raises(
        ConfigError, match=r"^--stor 'my store': no option of Kapelle's, .* looked for shop/build\.py; "
    ):
        run_build("shop", None, None, ["--stor", "my store"])
    with pytest.raises(ArtifactError, match="no artifact 'model'"):
        run_build("shop", None, None)


def test_a_folder_is_stored_or_built_not_both() -> None:
    with pytest.raises(ConfigError, match=r"^--artifacts there and --data a: .* leave out one of them"):
        run_build("shop", "there", None, ["--data", "a"])
    with pytest.raises(ArtifactError, match=r"no artifact 'model' in .*there"):
        run_build("shop", "there", None)


@pytest.mark.parametrize("option", ["--out", "--out=there"])
def test_where_it_builds_is_not_to_be_chosen(option: str) -> None:
    with pytest.raises(ConfigError, match=r"^--out is set by Kapelle"):
        run_build("shop", None, None, [option])


def test_a_folder_that_cannot_be_written_is_named(shop: Path) -> None:
    Path("file").touch()
    with (
        pytest.raises(ConfigError, match=r"^cannot write to file/app: Not a directory"),
        Builder(shop).built(Path("file/app"), []),
    ):
        pytest.fail("it was built")
